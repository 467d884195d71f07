-- WITH clock refusals buckets
-- Decide about a login: lock-out, every token bucket, and who exchanges the code.
-- KEYS  [1] lock of address and device  [2] code  [3] mark of a watched device
--       [4] tally, [5] lines and [6] shares of the refused (refusals.lua)
--       [7..] buckets
-- ARGV  [1] '1' when lock-outs are on  [2] flight mark of this caller
--       [3] life of a flight in ms  [4] '1' to refuse nobody, only to tell
--       [5] rules of the refusals  [6] what they say of this request
--       [7] number of the device's bucket (0 = none)  [8] its share when watched
--       [9..] bursts and refills
-- ANSWER {verdict, detail, refused, retry_ms, burst, remaining, reset_ms}
--   verdict  'lead'  this caller exchanges the code
--            'join'  another caller is doing it: wait for the record
--            'known' detail is the record that an earlier exchange left
--            ''      refused
--   refused  -1 = locked out, else as in buckets
local dry = ARGV[4] == '1'
local refused, retry, burst, remaining, reset = 0, 0, -1, 0, 0
local book = {
  tally = KEYS[4], lines = KEYS[5], shares = KEYS[6], rules = ARGV[5], about = ARGV[6],
}
if ARGV[1] == '1' then
  retry = math.max(0, redis.call('PTTL', KEYS[1]))
  if retry > 0 then
    refused = -1
    refuse(book, KEYS[1], refused, retry)
  end
end
if refused == 0 then
  local watched = redis.call('EXISTS', KEYS[3]) == 1
  refused, retry, burst, remaining, reset = take(7, 9, {
    now = redis_now(), book = book,
    shrunk = watched and tonumber(ARGV[7]) or 0, share = tonumber(ARGV[8]),
  })
end
if refused ~= 0 and not dry then
  return {'', '', refused, retry, burst, remaining, reset}
end
local verdict, found = 'lead', ''
if not redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then
  found = redis.call('GET', KEYS[2])
  verdict = string.sub(found, 1, 1) == 'f' and 'join' or 'known'
end
return {verdict, found, refused, retry, burst, remaining, reset}
