-- Gives up the asker's lease, if it is there: where the store forgot it there is nothing to say to others, who have to
-- watch anyway. The record stays one of the run in which it was held.
-- ARGV  9 the asker's token
-- Verdict 'released' with the number of listeners that were told; 'lost' where it is not there, or somebody else's;
-- 'foreign'.
if lock_token == 'record' and lock == 'foreign' then
  return reply('foreign')
end
local token = number(ARGV[9])
local mine = record.token and number(record.token) == token and record.holder == ARGV[1]
if not mine or (lock == 'ours' and number(lock_token) > token) then
  return reply('lost')
end
return reply('released', tostring(write(token, 'released', record.run)))
