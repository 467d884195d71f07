-- WITH clock buckets
-- Take one retry from the budget of an app.
-- KEYS  [1] bucket
-- ARGV  [1] burst  [2] refill per second
-- ANSWER 0 = taken, else milliseconds until there is one
local refused, retry = take(1, 1, {now = redis_now()})
if refused == 0 then return 0 end
return retry
