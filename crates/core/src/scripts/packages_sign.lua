-- Signs the newest revision of the packages anew.
-- KEYS  1 head (hash)
-- ARGV  1 id of the revision  2... fields and values of the head
-- Reply 1 signed, 0 the revision is another one by now, or packages are switched off
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] or redis.call('HGET', KEYS[1], 'sync') == 'off' then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
