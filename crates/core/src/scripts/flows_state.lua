-- Starts or stops the flows of the cluster.
-- KEYS  1 head (hash)
-- ARGV  1 state ('start' or 'stop')  2 update channel  3 message
-- Reply 1 changed or already so, 0 there is no revision yet
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if redis.call('HGET', KEYS[1], 'state') ~= ARGV[1] then
  redis.call('PUBLISH', ARGV[2], ARGV[3])
  redis.call('HSET', KEYS[1], 'state', ARGV[1])
end
return 1
