-- Saves one revision of the packages whole, or nothing; removes tarballs that neither it nor the one before needs.
-- KEYS  1 packages (string)  2 head (hash)  3 content (hash)  4 tarballs (hash)
-- ARGV  1 id of the revision that the saver had seen, '' for none
--       2 id of the new revision  3 name to version (JSON)  4 list (JSON)  5 lock file (JSON or gzip of it)
--       6 channel  7 message  8 how many fields and values of the head follow
--       9... fields and values of the head, then the SHA-512 of each tarball that is needed
-- Reply 'saved' (or saved before: a repeat; what the store lost of it is written again), 'mismatch' somebody else saved a newer one,
--       'missing' and the tarballs that are not there
local current = redis.call('HGET', KEYS[2], 'id')
if current == ARGV[2] and redis.call('HGET', KEYS[3], 'id') == ARGV[2] then
  return {'saved'}
end
if (current or '') ~= ARGV[1] then
  return {'mismatch'}
end
local first = 9 + tonumber(ARGV[8])
local missing = {'missing'}
local keep = {}
for index = first, #ARGV do
  keep[ARGV[index]] = true
  if redis.call('HEXISTS', KEYS[4], ARGV[index]) == 0 then
    missing[#missing + 1] = ARGV[index]
  end
end
if #missing > 1 then
  return missing
end
-- A script is not rolled back, so what can be refused comes first: a key of a foreign type, the channel. A
-- message about something that then is not saved wakes readers in vain and nothing else.
local before = redis.call('HGET', KEYS[3], 'tarballs') or ''
local announced = redis.pcall('PUBLISH', ARGV[6], ARGV[7])
if type(announced) == 'table' and announced.err then
  return announced
end
redis.call('HSET', KEYS[3], 'id', ARGV[2], 'list', ARGV[4], 'lock', ARGV[5], 'tarballs', table.concat(ARGV, ' ', first))
-- Signatures of the revision before vouch for nothing of this one, which may have none.
redis.call('HDEL', KEYS[2], 'signature', 'syncTime', 'syncSignature')
redis.call('HSET', KEYS[2], unpack(ARGV, 9, first - 1))
redis.call('SET', KEYS[1], ARGV[3])
-- Who still installs the revision before may want its tarballs.
for digest in string.gmatch(before, '%S+') do
  keep[digest] = true
end
for _, digest in ipairs(redis.call('HKEYS', KEYS[4])) do
  if not keep[digest] then
    redis.call('HDEL', KEYS[4], digest)
  end
end
return {'saved'}
