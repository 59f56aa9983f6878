-- Finds the first of some places that nobody has; changes nothing.
-- KEYS  presences (strings), in order
-- Reply its position from 1, 0 where all are taken
for at, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 0 then
    return at
  end
end
return 0
