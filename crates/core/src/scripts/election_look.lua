-- Reads an election and changes nothing. Verdict: 'foreign' or 'seen'.
return reply(lock == 'foreign' and 'foreign' or 'seen')
