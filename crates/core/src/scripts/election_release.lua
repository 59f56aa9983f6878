-- Gives up the asker's lease.
-- ARGV  9 the asker's token
-- Verdict 'released' with the number of listeners that were told; 'lost' where it is somebody else's, 'foreign'.
if foreign_record then
  return reply('foreign')
end
local token, known = number(ARGV[9]), number(record.token)
local others = record.token and record.holder ~= ARGV[1] and (known == token or ARGV[5] ~= '' and record.run == ARGV[5])
if known > token or others or (lock == 'ours' and number(lock_token) > token) then
  return reply('lost')
end
return reply('released', tostring(write(token, 'released')))
