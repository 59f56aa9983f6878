-- Gives the permit to restart back, if it is this worker's: by the token of the grant, or, where a new container
-- has no memory of it, by the worker's id, which nobody else has at the same time.
-- KEYS  1 permit (string)
-- ARGV  1 token, '' where it is not known  2 the id as it stands in the permit  3 channel  4 message
-- Reply 1 it is free now, 0 it was not this worker's
local current = redis.call('GET', KEYS[1])
if not current then
  return 0
end
local mine = ARGV[1] ~= '' and string.find(current, ARGV[1], 1, true)
if not mine and not string.find(current, ARGV[2], 1, true) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return 1
