-- Writes a value if the key still holds what the writer had read.
-- KEYS  1 the key (string)
-- ARGV  1 'absent' or 'present': what the writer had found  2 the value that it had read, '' if absent
--       3 new value  4 lifetime of the key in ms, 0 for ever
-- Reply 1 written, else the current value (nil where there is none)
local current = redis.call('GET', KEYS[1])
if ARGV[1] == 'absent' then
  if current then
    return current
  end
elseif current ~= ARGV[2] then
  return current
end
if ARGV[4] == '0' then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
return 1
