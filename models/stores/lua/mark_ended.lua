-- Mark sessions ended that SQL knows to be; whoever restores a copy finds the mark.
-- KEYS  one session (hash) each
-- ARGV  [1] life of a mark in ms, then two each: user, why it ended
-- ANSWER how many had lived on here
local found = 0
for i = 1, #KEYS do
  local fields = redis.call('HMGET', KEYS[i], 'user', 'revoked')
  if not fields[2] then
    if fields[1] then found = found + 1 end
    redis.call('HSET', KEYS[i], 'user', ARGV[2 * i], 'revoked', ARGV[2 * i + 1])
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
  end
end
return found
