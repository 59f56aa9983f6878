-- Gives the permit to restart back, if it is this worker's: by the token of the grant, or, where a container
-- that was started again has no memory of it, by the place of the worker.
-- KEYS  1 permit (string)
-- ARGV  1 token, '' where it is not known  2 the place as it stands in the permit  3 channel  4 message
-- Reply 1 it is free now, 0 it was not this worker's
local current = redis.call('GET', KEYS[1])
if not current then
  return 0
end
local sign = ARGV[1] ~= '' and ARGV[1] or ARGV[2]
if not string.find(current, sign, 1, true) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return 1
