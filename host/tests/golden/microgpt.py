#!/usr/bin/env python3
"""The model of this repository a second time, for tests, with numpy in f64, whole documents at once, backward by hand.

It shares nothing with the Rust code but the contract, so that a mistake would have to be made twice to go unseen.
Before it writes anything, it checks its own gradients by central differences.

    pip install numpy
    python3 host/tests/golden/microgpt.py > host/tests/golden/losses.txt
"""

import numpy as np

RMSNORM_EPS = 1e-5
STEPS = 20
LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY = 1e-2, 0.9, 0.95, 1e-8, 1e-4

# vocab, block_size, n_embd, n_head, n_layer
DEFAULT = (27, 8, 16, 4, 1)
ASYMMETRIC = (11, 7, 10, 5, 2)

NAMES = ["ada", "io", "christopher", "zoe", "max", "q", "bartholomew", "lee", "wilhelmina", "jo"]
NUMBERS = ["3", "10", "9182736450", "44444", "271828182", "0123456789", "700"]


def encode(document, alphabet):
    return np.array([0] + [1 + alphabet.index(character) for character in document] + [0])


def tensor_shapes(shape):
    vocab, block_size, c, _, n_layer = shape
    yield "wte", (vocab, c)
    yield "wpe", (block_size, c)
    for layer in range(n_layer):
        for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
            yield f"layer{layer}.{name}", (c, c)
        yield f"layer{layer}.mlp_fc1", (4 * c, c)
        yield f"layer{layer}.mlp_fc2", (c, 4 * c)


def tensors(flat, shape):
    """Returns views into a flat array, by name."""
    views, start = {}, 0
    for name, dims in tensor_shapes(shape):
        size = dims[0] * dims[1]
        views[name] = flat[start : start + size].reshape(dims)
        start += size
    assert start == flat.size
    return views


def initial_weights(shape):
    """Returns multiples of 1/256 up to 1/2 in size, which are the same in f32, in f64 and in any language."""
    count = sum(rows * cols for _, (rows, cols) in tensor_shapes(shape))
    i = np.arange(count, dtype=np.int64)
    return ((7 * i * i + 37 * i + 11) % 257 - 128) / 256.0


def normalise(x):
    """Returns the rows of x at a root mean square of 1, and their factors."""
    factor = (np.mean(x * x, axis=1, keepdims=True) + RMSNORM_EPS) ** -0.5
    return x * factor, factor


def normalise_backward(dy, y, factor):
    return factor * (dy - y * np.mean(dy * y, axis=1, keepdims=True))


def heads(x, n_head):
    """Returns x: [n, C] as [H, n, D]."""
    return x.reshape(len(x), n_head, -1).transpose(1, 0, 2)


def joined(x):
    """Returns x: [H, n, D] as [n, C]."""
    return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


def loss_and_gradients(flat, shape, document):
    _, block_size, c, n_head, n_layer = shape
    w = tensors(flat, shape)
    n = min(block_size, len(document) - 1)
    tokens, targets = document[:n], document[1 : n + 1]
    scale = (c // n_head) ** -0.5
    future = np.triu(np.ones((n, n), dtype=bool), k=1)

    embedded, embedded_factor = normalise(w["wte"][tokens] + w["wpe"][:n])
    x, saved = embedded, []
    for layer in range(n_layer):
        p = f"layer{layer}."
        a, a_factor = normalise(x)
        q, k, v = (heads(a @ w[p + name].T, n_head) for name in ("attn_wq", "attn_wk", "attn_wv"))
        scores = np.where(future, -np.inf, scale * (q @ k.transpose(0, 2, 1)))
        e = np.exp(scores - scores.max(axis=2, keepdims=True))
        shares = e / e.sum(axis=2, keepdims=True)
        gathered = joined(shares @ v)
        x = x + gathered @ w[p + "attn_wo"].T
        b, b_factor = normalise(x)
        h = np.maximum(b @ w[p + "mlp_fc1"].T, 0.0)
        x = x + (h * h) @ w[p + "mlp_fc2"].T
        saved.append((a, a_factor, q, k, v, shares, gathered, b, b_factor, h))

    logits = x @ w["wte"].T
    top = logits.max(axis=1, keepdims=True)
    log_total = top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    log_p = logits - log_total
    loss = -log_p[np.arange(n), targets].mean()

    grad = np.zeros_like(flat)
    d = tensors(grad, shape)
    dlogits = np.exp(log_p)
    dlogits[np.arange(n), targets] -= 1.0
    dlogits /= n
    d["wte"] += dlogits.T @ x
    dx = dlogits @ w["wte"]
    for layer in reversed(range(n_layer)):
        p = f"layer{layer}."
        a, a_factor, q, k, v, shares, gathered, b, b_factor, h = saved[layer]
        d[p + "mlp_fc2"] += dx.T @ (h * h)
        dh = 2.0 * h * (dx @ w[p + "mlp_fc2"])
        d[p + "mlp_fc1"] += dh.T @ b
        dx = dx + normalise_backward(dh @ w[p + "mlp_fc1"], b, b_factor)
        d[p + "attn_wo"] += dx.T @ gathered
        dgathered = heads(dx @ w[p + "attn_wo"], n_head)
        dv = shares.transpose(0, 2, 1) @ dgathered
        dshares = dgathered @ v.transpose(0, 2, 1)
        dscores = scale * shares * (dshares - (dshares * shares).sum(axis=2, keepdims=True))
        dq, dk = dscores @ k, dscores.transpose(0, 2, 1) @ q
        da = np.zeros_like(a)
        for name, dy in (("attn_wq", dq), ("attn_wk", dk), ("attn_wv", dv)):
            d[p + name] += joined(dy).T @ a
            da += joined(dy) @ w[p + name]
        dx = dx + normalise_backward(da, a, a_factor)
    dembedding = normalise_backward(dx, embedded, embedded_factor)
    np.add.at(d["wte"], tokens, dembedding)
    d["wpe"][:n] += dembedding
    return loss, grad


def check_gradients(shape, document):
    w = initial_weights(shape)
    _, grad = loss_and_gradients(w, shape, document)
    h = 1e-5
    for i in range(w.size):
        above, below = w.copy(), w.copy()
        above[i] += h
        below[i] -= h
        change = loss_and_gradients(above, shape, document)[0] - loss_and_gradients(below, shape, document)[0]
        numeric = change / (2 * h)
        assert abs(numeric - grad[i]) <= 1e-9 + 1e-7 * abs(grad[i]), (i, numeric, grad[i])


def train(shape, max_grad_norm, documents):
    print("shape", *shape, max_grad_norm)
    w = initial_weights(shape)
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step in range(STEPS):
        document = documents[step % len(documents)]
        loss, g = loss_and_gradients(w, shape, document)
        norm = np.linalg.norm(g)
        print("step", repr(float(loss)), repr(float(norm)), *document)
        if norm > max_grad_norm:
            g = g * (max_grad_norm / norm)
        rate = LEARNING_RATE * 0.5 * (1.0 + np.cos(np.pi * step / STEPS))
        m += (1.0 - BETA1) * (g - m)
        v += (1.0 - BETA2) * (g * g - v)
        update = m / (1.0 - BETA1 ** (step + 1)) / (np.sqrt(v / (1.0 - BETA2 ** (step + 1))) + EPS)
        w = w - rate * (update + WEIGHT_DECAY * w)
    document = documents[2]
    print("after", repr(float(loss_and_gradients(w, shape, document)[0])), 0, *document)


if __name__ == "__main__":
    names = [encode(name, "abcdefghijklmnopqrstuvwxyz") for name in NAMES]
    numbers = [encode(number, "0123456789") for number in NUMBERS]
    check_gradients(ASYMMETRIC, numbers[3])
    print("# Losses of a training run of 20 steps for two shapes, by an independent implementation.")
    print("# Made by: python3 host/tests/golden/microgpt.py > host/tests/golden/losses.txt")
    print("# shape: vocab block_size n_embd n_head n_layer max_grad_norm")
    print("# step:  loss, gradient norm before clipping, tokens of the document")
    print("# after: loss after the last step, 0, tokens of the document")
    train(DEFAULT, 1.0, names)
    train(ASYMMETRIC, 8.0, numbers)
