-- Says whether the admin publishes its packages, and announces it where that changed.
-- KEYS  1 head (hash)
-- ARGV  1 'on' or 'off'  2 channel  3 message  4... fields and values that vouch for it, if it is signed
-- Reply 1 changed, 0 it was so before
if #ARGV == 3 and (redis.call('HGET', KEYS[1], 'sync') or 'on') == ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'sync', ARGV[1], unpack(ARGV, 4))
redis.pcall('PUBLISH', ARGV[2], ARGV[3])
return 1
