-- Strikes members off the list whose presence has ended; one that came back meanwhile stays.
-- KEYS  1 members (set)  2... presence of each (string)
-- ARGV  1... name of each in the set, in the order of the keys
-- Reply how many were struck off
local gone = 0
for place = 2, #KEYS do
  if redis.call('EXISTS', KEYS[place]) == 0 then
    gone = gone + redis.call('SREM', KEYS[1], ARGV[place - 1])
  end
end
return gone
