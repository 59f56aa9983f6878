-- Saves a library entry and its line in the index, if no file stands where a folder is needed and no
-- folder where the file is to be.
-- KEYS  1 entry (string)  2 index (hash)
-- ARGV  1 index field of the entry  2 metadata (JSON)  3 entry (as stored)  4 the index's mark
--       5... index fields of the folders above the entry
-- Reply 'saved', 'no index' (nothing was done: build it first), 'file above', 'folder here'
if redis.call('HEXISTS', KEYS[2], ARGV[4]) == 0 then
  return 'no index'
end
for folder = 5, #ARGV do
  if redis.call('HEXISTS', KEYS[2], ARGV[folder]) == 1 then
    return 'file above'
  end
end
local below = ARGV[1] .. '/'
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  if string.sub(field, 1, #below) == below then
    return 'folder here'
  end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('SET', KEYS[1], ARGV[3])
return 'saved'
