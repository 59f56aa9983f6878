-- Gives the permit to restart to one worker, unless another has it.
-- KEYS  1 permit (string)
-- ARGV  1 token of this grant, part of what is written  2 what to write (JSON)  3 limit in ms
-- Reply 1 the worker has it, 0 another has it
local current = redis.call('GET', KEYS[1])
if current and (ARGV[1] == '' or not string.find(current, ARGV[1], 1, true)) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
