"""Small functions of every kind, each with calls of it, that the narrator has to tell truly."""

FUNCTIONS: list[tuple[str, list[str]]] = [
    (
        """
def f(s):
    out = ''
    for c in s:
        if c not in out:
            out += c.upper()
    return out
""",
        ["f('abca')", 'f("it\'s")', "f('')"],
    ),
    (
        """
def f(s):
    counts = {}
    for w in s.split():
        counts[w] = counts.get(w, 0) + 1
    return counts
""",
        ["f('a b a')"],
    ),
    (
        """
def f(xs):
    seen = set()
    for x in xs:
        seen.add(x)
    return sorted(seen)
""",
        ["f([3, 1, 3])"],
    ),
    (
        """
def f(a, b):
    pair = (a, b)
    (x, y) = pair
    return (y, x)
""",
        ["f(1, 'z')"],
    ),
    (
        """
def f(x, k=2.5):
    y = x / 3
    z = round(y, 2) * k
    return z
""",
        ["f(10)", "f(1, k=0.1)"],
    ),
    (
        """
def f(n):
    total = 0
    for i in range(n):
        for j in range(i):
            total += i * j
    return total
""",
        ["f(4)", "f(12)", "f(0)"],
    ),
    (
        """
def f(n):
    if n <= 1:
        return 1
    return n * f(n - 1)
""",
        ["f(5)", "f(9)"],
    ),
    (
        """
def f(n):
    if n < 2:
        return n
    return f(n - 1) + f(n - 2)
""",
        ["f(6)", "f(18)"],
    ),
    (
        """
def f(xs, t):
    for i, x in enumerate(xs):
        if x == t:
            return i
    return -1
""",
        ["f([4, 5, 6], 5)", "f([], 1)"],
    ),
    (
        """
def f(xs):
    try:
        y = xs[3]
    except IndexError as e:
        y = 0
    else:
        y += 1
    finally:
        z = 7
    return y + z
""",
        ["f([1])", "f([1,2,3,4])"],
    ),
    (
        """
def f(n):
    if n < 0:
        raise ValueError('negative: n = 3')
    return n
""",
        ["f(-1)", "f(2)"],
    ),
    (
        """
def f(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps
""",
        ["f(6)", "f(27)"],
    ),
    (
        """
def f(s):
    return s[::-1] == s[:]
""",
        ["f('abba')"],
    ),
    (
        """
def f(xs):
    ys = sorted(xs, key=lambda t: -t, reverse=True)
    ys.sort()
    return ys[1:]
""",
        ["f([3, 1, 2])"],
    ),
    (
        """
def f(xs):
    xs.append(3)
    xs[0] = 9
""",
        ["f([1])"],
    ),
    (
        """
def f(n):
    while True:
        n -= 1
        if n < 0:
            break
    return n
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    for i in range(2, n):
        if n % i == 0:
            break
    else:
        for k in range(2):
            n += k
        return True
    return False
""",
        ["f(7)", "f(9)"],
    ),
    (
        """
def f(n):
    for i in range(n):
        yield i * i
""",
        ["f(3)"],
    ),
    (
        """
def f(grid):
    for i in range(len(grid)):
        for j in range(len(grid[i])):
            grid[i][j] += i * j
    return grid
""",
        ["f([[1, 2], [3, 4]])"],
    ),
    (
        """
def f(a, *rest, scale=2, **kw):
    total = a
    for r in rest:
        total += r * scale
    return total
""",
        ["f(1, 2, 3)", "f(1, scale=3)"],
    ),
    (
        """
def g(*a, k=1):
    return sum(a) * k

def f(n):
    return g(n, 2, k=3) + h(n, k=4)

def h(n, *, k):
    return n + k
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    class P:
        def __init__(self, v):
            self.v = v
    p = P(n)
    return p.v
""",
        ["f(3)"],
    ),
    (
        """
def f(xs):
    best = float('-inf')
    for x in xs:
        best = max(best, x)
    return best
""",
        ["f([1, 5, 2])", "f([])"],
    ),
    (
        """
def f(n):
    memo = {}
    def go(k):
        if k < 2:
            return k
        if k in memo:
            return memo[k]
        memo[k] = go(k - 1) + go(k - 2)
        return memo[k]
    return go(n)
""",
        ["f(6)"],
    ),
    (
        """
def f(xs):
    i = j = 0
    out = []
    while i < len(xs):
        out.append(xs[i])
        i += 2
    while j < len(out):
        out[j] = -out[j]
        j += 1
    return out
""",
        ["f([1, 2, 3])", "f(list(range(20)))"],
    ),
    (
        """
def f(xs):
    first, *others = xs
    d = {x: x * x for x in others}
    s = {x % 2 for x in others}
    return (first, d, s)
""",
        ["f([1, 2, 3])"],
    ),
    (
        """
def f(text):
    n = 0
    for line in text.splitlines():
        if line.startswith('#'):
            continue
        n += 1
    return n
""",
        ["f('# a\\nb\\nc = 3')"],
    ),
    (
        """
def f(x):
    if (n := len(x)) > 2:
        return f'{n}: {x}'
    elif n == 1:
        assert x, 'x = 4'
    return None
""",
        ["f('abc')", "f('a')"],
    ),
    (
        """
def f(n):
    is_prime = n > 1
    i = 2
    while i * i <= n and is_prime:
        is_prime = n % i != 0
        i += 1
    return is_prime
""",
        ["f(49)", "f(7)"],
    ),
    (
        """
def f(n):
    x = n
    match x:
        case 1:
            y = 10
        case [a, b]:
            y = a
        case _:
            y = 0
    return y
""",
        ["f(1)", "f(5)"],
    ),
    (
        """
def f(n):
    import math
    global G
    G = 5
    with open('/dev/null') as fh:
        x = 0
        y = fh.read()
    del x
    return math.floor(n / G)
""",
        ["f(12)"],
    ),
    (
        """
def is_even(n):
    return n == 0 or is_odd(n - 1)

def is_odd(n):
    return n != 0 and is_even(n - 1)

def f(n):
    return is_even(n)
""",
        ["f(5)"],
    ),
    (
        """
def f(a):
    x = y = a
    x += 1
    x *= 2
    x //= 3
    x %= 4
    x **= 2
    x <<= 1
    x |= 1
    z: int = 4
    w: int
    return x + y + z
""",
        ["f(5)"],
    ),
    (
        """
def f(s):
    stack = []
    for c in s:
        if c == '(':
            stack.append(c)
        elif not stack or stack.pop() != '(':
            return False
    return stack == []
""",
        ["f('(())')", "f('())')"],
    ),
    (
        """
def f(n):
    bits = ''
    while n:
        (n, r) = divmod(n, 2)
        bits = str(r) + bits
    return bits or '0'
""",
        ["f(10)"],
    ),
    (
        """
def f(n):
    while n < 5:
        try:
            if n == 2:
                raise KeyError('n')
            n += 1
        except KeyError:
            n += 2
            continue
        finally:
            last = n
    return n
""",
        ["f(0)"],
    ),
    (
        """
def f(n):
    for i in range(1000):
        n += i
        for j in range(10):
            n -= 1
    return n
""",
        ["f(0)"],
    ),
    (
        """
def f(xs):
    for x in xs:
        if x > 2:
            raise ValueError(f'bad {x}')
    return 0
""",
        ["f([1, 2, 3])"],
    ),
    (
        """
def f(s):
    a, e, i = 0, 0, 0
    for c in s:
        if c == 'a':
            a += 1
        if c == 'e':
            e += 1
    return {'a': a, 'e': e, 'i': i}
""",
        ["f('tea')"],
    ),
    (
        """
def f(x):
    first = x + 1
    now = first * 2
    n = now
    total_returns = n
    last = 3
    i = 0
    to = 1
    return last
""",
        ["f(4)"],
    ),
    (
        """
def f(x):
    s = 'after the third iteration, x = 4'
    t = 'f(4) returns 3; n = 2'
    return s + t
""",
        ["f(4)"],
    ),
    (
        """
def f(p, reverse=True):
    with open('/dev/null') as fh:
        if p:
            x = 0
    xs = sorted([p], reverse=True)
    print(p, end='')
    return f'x = {p}, y = 4'
""",
        ["f(1)"],
    ),
    (
        """
def f(k):
    def go(k=3, *, x=4):
        return k + x
    g = lambda k=5: k + 1
    return go(k) + g()
""",
        ["f(1)"],
    ),
    (
        """
def f(n):
    x = 4
    if x == 4 and n == 3:
        x = 5
    while x == 5:
        x += 1
    assert x == 6
    return x == 6
""",
        ["f(3)"],
    ),
    (
        """
def f(x):
    t = f'''a
{x}
b = 3'''
    return t
""",
        ["f(3)"],
    ),
    (
        """
def f(a=0, b=[]):
    b.append(a)
    c = d = 0
    for c, d in [(1, 2), (3, 4)]:
        a += c * d
    return (a, b)
""",
        ["f()", "f(1)", "f(a=3)"],
    ),
    (
        """
def f(s, sep=', '):
    parts = s.split(sep)
    return sep.join(p.strip() for p in parts)
""",
        ["f('a, b, c')", "f(\"a;b\", sep=';')"],
    ),
    (
        """
def f(a, b, /, c, *, d=3):
    t = a + b
    return t + c + d
""",
        ["f(1, 2, 3)", "f(1, 2, c=5, d=1)"],
    ),
    (
        """
def f(d):
    best = None
    for k, v in d.items():
        if best is None or v > d[best]:
            best = k
    return best
""",
        ["f({'a': 1, 'b': 3})", "f({})"],
    ),
    (
        """
def f(n):
    fact = 1
    for i in range(1, n + 1):
        fact *= i
    return fact
""",
        ["f(60)", "f(5)"],
    ),
    (
        """
def f(n):
    xs = list(range(n))
    while len(xs) > 1:
        xs = xs[::2]
    return xs
""",
        ["f(1000)", "f(5)"],
    ),
    (
        """
def f(n):
    try:
        return f(n + 1)
    except RecursionError:
        return n
""",
        ["f(0)"],
    ),
    (
        """
def f(n):
    if n > 0:
        for i in range(n):
            x = i
    else:
        x = -1
    for j in 'ab':
        y = j
    return x
""",
        ["f(2)", "f(0)"],
    ),
    (
        """
def f(n):
    x = {1, 2}
    y = frozenset(x)
    z = b'ab'
    w = 1 + 2j
    v = ...
    u = float('nan')
    return x
""",
        ["f(2)"],
    ),
    (
        """
def f(n):
    out = [float('inf')] * 2
    for i in range(n):
        out[0] = min(out[0], i)
    return out
""",
        ["f(2)"],
    ),
    (
        """
def f(s):
    vowels = 'aeiouAEIOUxyz'
    digits = '0123456789012'
    return sum(c in vowels for c in s)
""",
        ["f('abc')"],
    ),
    (
        """
def f(n):
    r = []
    for i in range(3):
        for j in range(3):
            if i * j == n:
                return (i, j)
            r += [i * j]
    return r
""",
        ["f(2)", "f(9)"],
    ),
    (
        """
def f(s):
    i = 0
    while i < len(s):
        if s[i] == '\\n':
            return i
        i += 1
""",
        ["f('ab\\ncd')", "f('')"],
    ),
    (
        """
def f(a, b):
    while b:
        a, b = b, a % b
    return a
""",
        ["f(48, 18)", "f(3, 0)"],
    ),
    (
        """
def f(xs):
    total = 0.0
    for x in xs:
        total += x
    return total / len(xs)
""",
        ["f([0.1, 0.2, 0.3])"],
    ),
    (
        """
def f(xs):
    n = len(xs)
    for i in range(n):
        for j in range(n - i - 1):
            if xs[j] > xs[j + 1]:
                xs[j], xs[j + 1] = xs[j + 1], xs[j]
    return xs
""",
        ["f([3, 2, 1])"],
    ),
    (
        """
import functools
@functools.lru_cache
def f(n):
    return n if n < 2 else f(n-1) + f(n-2)
""",
        ["f(5)"],
    ),
    (
        """
import functools
def deco(fn):
    @functools.wraps(fn)
    def wrapper(*a, **k):
        r = fn(*a, **k)
        return r
    return wrapper
@deco
def f(n):
    m = n + 1
    return m
""",
        ["f(5)"],
    ),
    (
        """
def f(n):
    for i in range(n):
        pass
    for i in range(n):
        i = i * 2
    for i in range(2):
        for i in range(3):
            k = i
    return k
""",
        ["f(8)"],
    ),
    (
        """
def g(x):
    y = x * 2
    return y

def f(x):
    y = g(x)
    y = g(y)
    return y
""",
        ["f(3)"],
    ),
    (
        """
def f(x):
    with __import__('contextlib').suppress(ValueError):
        for i in range(3):
            if i == 1:
                raise ValueError
    return i
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    x = 5
    del x
    for i in range(2):
        y = i
        del y
    return n
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    x = 10 ** 300
    for i in range(n):
        x *= 10
    return x
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    x = ' \\'quote\\' "d" <think> </think> <step>'
    return x
""",
        ["f(3)"],
    ),
]
