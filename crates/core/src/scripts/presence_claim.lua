-- Takes a place among the members unless another instance has it.
-- KEYS  1 presence (string)  2 members (set)
-- ARGV  1 id that is unique to the instance, part of its record  2 record (JSON)  3 lifetime in ms
--       4 name in the set of members
-- Reply 1 the place is the instance's, 0 it is another's
local current = redis.call('GET', KEYS[1])
if current and not string.find(current, ARGV[1], 1, true) then
  return 0
end
redis.call('SADD', KEYS[2], ARGV[4])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
