-- Write standings of users, except where a later one stands.
-- KEYS  one standing (hash) each
-- ARGV  five each: number of the change, epoch, '1' when banned else '', action ('' for
--       allow), the action's end in ms ('' for none)
-- ANSWER how many were written
local written = 0
for i = 1, #KEYS do
  local at = 5 * (i - 1)
  local number = redis.call('HGET', KEYS[i], 'number')
  if not number or tonumber(number) < tonumber(ARGV[at + 1]) then
    redis.call('HSET', KEYS[i], 'number', ARGV[at + 1], 'epoch', ARGV[at + 2],
      'banned', ARGV[at + 3], 'action', ARGV[at + 4], 'until', ARGV[at + 5])
    written = written + 1
  end
end
return written
