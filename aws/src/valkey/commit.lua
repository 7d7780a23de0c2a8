-- Writes all of a plan or nothing. KEYS[1]: the totals; the other keys are named by their numbers.
-- ARGV[1]: {conditions, checks, writes} as JSON; every number in it is a text, so that none is rounded.
-- Answers {0, 0}; {1, n}: condition n does not hold; {2, n}: the row of check n is not as it was read.
local plan = cjson.decode(ARGV[1])
local totals = KEYS[1]

local function exists(field)
    return redis.call('HEXISTS', totals, field) == 1
end

local holds = {
    most = function(condition)
        return tonumber(redis.call('HGET', totals, condition[2]) or '0') <= tonumber(condition[3])
    end,
    least = function(condition)
        return tonumber(redis.call('HGET', totals, condition[2]) or '0') >= tonumber(condition[3])
    end,
    none = function(condition)
        for i = 2, #condition do
            if exists(condition[i]) then return false end
        end
        return true
    end,
    any = function(condition)
        for i = 2, #condition do
            if exists(condition[i]) then return true end
        end
        return false
    end,
}

for n, condition in ipairs(plan.conditions) do
    if not holds[condition[1]](condition) then return {1, n} end
end

for n, check in ipairs(plan.checks) do
    local found = redis.call('HGET', KEYS[check[1]], check[2])
    local version = found and string.match(found, '^(%d+):') or ''
    if version ~= check[3] then return {2, n} end
end

local write = {
    put = function(w) redis.call('HSET', KEYS[w[2]], w[3], w[4]) end,
    delete = function(w) redis.call('HDEL', KEYS[w[2]], w[3]) end,
    join = function(w) redis.call('ZADD', KEYS[w[2]], '0', w[3]) end,
    leave = function(w) redis.call('ZREMRANGEBYLEX', KEYS[w[2]], '[' .. w[3] .. '|', '(' .. w[3] .. '}') end,
    last = function(w) redis.call('PEXPIRE', KEYS[w[2]], w[3]) end,
    add = function(w) redis.call('HINCRBY', totals, w[2], w[3]) end,
    set = function(w) redis.call('HSET', totals, w[2], w[3]) end,
    unset = function(w) redis.call('HDEL', totals, w[2]) end,
}

for _, w in ipairs(plan.writes) do
    write[w[1]](w)
end
return {0, 0}
