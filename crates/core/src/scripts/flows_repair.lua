-- Writes the damaged values of the newest revision anew.
-- KEYS  1 flows (string)  2 credentials (string)  3 head (hash)
-- ARGV  1 id of the revision  2 flows  3 credentials
-- Reply 1 written, 0 the newest revision is another one by now
if redis.call('HGET', KEYS[3], 'id') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[3])
redis.call('SET', KEYS[1], ARGV[2])
return 1
