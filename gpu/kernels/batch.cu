// Coordinate descent on many problems with one Gram matrix G (m x m), a warp for each problem.
//
//   min over w of  ||x_b||^2 / 2 - q_b' w + w' G w / 2 + penalty(w)
//
// Coefficients and the negative gradient g = q_b - G w of a problem lie in shared memory, 2 m doubles
// a warp and some more. The coordinates have their turns in cyclic order, 32 at a time: every lane computes its
// prox, a ballot finds the first that moves, its step is applied to the whole gradient, and the rest
// of the 32 is looked at again. So a sweep costs as much as there are steps, not m times it. Before
// the first sweep, the coefficient furthest from its place moves, again and again.
// Certificates are those of sparsereg/backends/numba/batch_descent.py, and so are the Newton steps of
// an elastic net, here on up to 32 coefficients: a lane has a row of the factor.

// As in the CPU's kernel: steps count as large beside the first down to this share.
#define LARGE 0.002
// Pivots below this share of their diagonal mean dependence.
#define DEPENDENT 1e-11
// What a Newton step keeps in shared memory, in doubles: a packed factor of 32 rows, 32 integers.
#define NEWTON_DOUBLES (528 + 16)

struct Problem {
  const double* gram;
  const double* curvatures;  // zero for columns that do not move
  const double* steps;       // their inverses, or zero
  const double* thresholds;  // gradients up to which zero stays zero
  const double* correlation;
  double sq_norm;
  double* coef;
  double* gradient;
  int m;
};

// g = q - G w.
__device__ __forceinline__ void refresh(const Problem& problem, int lane) {
  __syncwarp();
  for (int k = lane; k < problem.m; k += 32) {
    double g = problem.correlation[k];
    for (int j = 0; j < problem.m; ++j) {
      const double w = problem.coef[j];
      if (w != 0.0) g -= w * problem.gram[(index_t)j * problem.m + k];
    }
    problem.gradient[k] = g;
  }
  __syncwarp();
}

// Move the coefficient that is furthest from its place, while it is far beside the first.
__device__ __forceinline__ void take_large_steps(
    const Problem& problem, const Penalty& penalty, int lane) {
  double first = 0.0;
  for (int step = 0; step < problem.m; ++step) {
    int mover = problem.m;
    double largest = 0.0;
    for (int j = lane; j < problem.m; j += 32) {
      const double w = problem.coef[j], g = problem.gradient[j];
      double change = 0.0;
      if (w == 0.0) {
        const double excess = (penalty.positive ? g : fabs(g)) - problem.thresholds[j];
        if (excess > 0.0) change = problem.steps[j] * excess * excess;
      } else {
        const double v = w + problem.steps[j] * g;
        const double delta = prox_column(penalty, j, v, problem.steps[j]) - w;
        change = problem.curvatures[j] * delta * delta;
      }
      if (change > largest) largest = change, mover = j;
    }
    for (int offset = 16; offset; offset >>= 1) {  // the largest, and of equals the first
      const double other = __shfl_xor_sync(WHOLE_WARP, largest, offset);
      const int whose = __shfl_xor_sync(WHOLE_WARP, mover, offset);
      if (other > largest || (other == largest && whose < mover)) largest = other, mover = whose;
    }
    first = fmax(first, largest);
    if (mover == problem.m || !(LARGE * first < largest && largest < infinity())) return;
    double delta = 0.0;
    if (lane == mover % 32) {  // whose coefficient it is
      const double w = problem.coef[mover], v = w + problem.steps[mover] * problem.gradient[mover];
      problem.coef[mover] = prox_column(penalty, mover, v, problem.steps[mover]);
      delta = problem.coef[mover] - w;
    }
    delta = __shfl_sync(WHOLE_WARP, delta, mover % 32);
    const double* row = problem.gram + (index_t)mover * problem.m;
    for (int k = lane; k < problem.m; k += 32) problem.gradient[k] -= delta * row[k];
  }
}

// One cyclic sweep; returns the sum of L delta^2 / 2. A lane touches its own coordinates only.
__device__ __forceinline__ double sweep(const Problem& problem, const Penalty& penalty, int lane) {
  double decrease = 0.0;
  for (int first = 0; first < problem.m; first += 32) {
    const int j = first + lane;
    const bool inside = j < problem.m;
    unsigned done = 0;
    while (true) {
      double next = 0.0, delta = 0.0;
      if (inside) {
        const double w = problem.coef[j], g = problem.gradient[j];
        if (!(w == 0.0 && fabs(g) <= problem.thresholds[j])) {
          next = prox_column(penalty, j, w + problem.steps[j] * g, problem.steps[j]);
          delta = next - w;
        }
      }
      const unsigned movers = __ballot_sync(WHOLE_WARP, delta != 0.0) & ~done;
      if (!movers) break;
      const int mover = __ffs((int)movers) - 1;
      done |= (2u << mover) - 1u;  // everybody up to the mover has had its turn
      delta = __shfl_sync(WHOLE_WARP, delta, mover);
      if (lane == mover) problem.coef[j] = next;
      const double* row = problem.gram + (index_t)(first + mover) * problem.m;
      for (int k = lane; k < problem.m; k += 32) problem.gradient[k] -= delta * row[k];
      decrease += 0.5 * problem.curvatures[first + mover] * delta * delta;
    }
  }
  return decrease;
}

// Move to the minimum on the support under its signs, if it keeps them; the gradient is left to the
// caller. Returns whether it moved, the same on all lanes.
__device__ __forceinline__ bool newton_step(
    const Problem& problem, const Penalty& penalty, double* factor, int lane) {
  int* support = reinterpret_cast<int*>(factor + 528);
  __syncwarp();  // coefficients and gradient are read by other lanes than wrote them
  int size = 0;
  for (int first = 0; first < problem.m; first += 32) {
    const int j = first + lane;
    const bool is_in = j < problem.m && problem.coef[j] != 0.0;
    const unsigned all = __ballot_sync(WHOLE_WARP, is_in);
    const int place = size + __popc(all & ((1u << lane) - 1u));
    if (is_in && place < 32) support[place] = j;
    size += __popc(all);
  }
  if (size > 32) return false;
  __syncwarp();
  const bool is_row = lane < size;
  const int mine = is_row ? support[lane] : 0;
  double w = 0.0, step = 0.0;
  if (is_row) {
    const double l1 = penalty.a * penalty.weights[mine], l2 = penalty.b * penalty.weights[mine];
    w = problem.coef[mine];
    step = problem.gradient[mine] - l2 * w - (w > 0.0 ? l1 : -l1);
  }
  // 1. the Cholesky factor, column after column, and the forward substitution
  double* row = factor + lane * (lane + 1) / 2;
  for (int c = 0; c < size; ++c) {
    const int other = __shfl_sync(WHOLE_WARP, mine, c);
    const double* row_c = factor + c * (c + 1) / 2;
    const double ridge = penalty.b * penalty.weights[other];
    double entry = 0.0;
    if (is_row && lane >= c) {
      entry = problem.gram[(index_t)other * problem.m + mine] + (lane == c ? ridge : 0.0);
      for (int e = 0; e < c; ++e) entry -= row[e] * row_c[e];
    }
    const double pivot = __shfl_sync(WHOLE_WARP, entry, c);
    if (!(pivot > DEPENDENT * (problem.curvatures[other] + ridge))) return false;
    const double root = sqrt(pivot), known = __shfl_sync(WHOLE_WARP, step, c) / root;
    if (is_row && lane >= c) {
      row[c] = lane == c ? root : entry / root;
      step = lane == c ? known : step - row[c] * known;
    }
    __syncwarp();
  }
  // 2. the backward substitution
  for (int c = size - 1; c >= 0; --c) {
    const double* row_c = factor + c * (c + 1) / 2;
    const double known = __shfl_sync(WHOLE_WARP, step, c) / row_c[c];
    if (lane == c) step = known;
    if (lane < c) step -= row_c[lane] * known;
  }
  if (__ballot_sync(WHOLE_WARP, is_row && !(w * (w + step) > 0.0))) return false;
  if (is_row) problem.coef[mine] = w + step;
  return true;
}

// The terms of the duality gap at dual scale `scale`.
__device__ __forceinline__ double gap_at(
    double scale, const Problem& problem, const Penalty& penalty, double sq_residual, int lane) {
  double total = 0.0;
  for (int j = lane; j < problem.m; j += 32) {
    const double l1 = penalty.a * penalty.weights[j], l2 = penalty.b * penalty.weights[j];
    if (l1 + l2 == 0.0 && !penalty.positive) continue;
    const double w = problem.coef[j], u = scale * problem.gradient[j];
    const double excess = fmax((penalty.positive ? u : fabs(u)) - l1, 0.0);
    if (l2 > 0.0 && excess > 0.0 && w * u > 0.0) {
      const double root = l2 * fabs(w) - excess;
      total += root * root / (2.0 * l2);
      continue;
    }
    if (w != 0.0) total += 0.5 * l2 * w * w + fabs(w) * fmax(l1 - (w > 0.0 ? u : -u), 0.0);
    if (excess > 0.0) {
      if (l2 > 0.0)
        total += excess * excess / (2.0 * l2);
      else if (problem.curvatures[j] > 0.0)
        total += excess * fabs(w) + excess * excess / (2.0 * problem.curvatures[j]);
    }
  }
  return 0.5 * (1.0 - scale) * (1.0 - scale) * sq_residual + warp_sum(total);
}

__device__ __forceinline__ double dual_gap(
    const Problem& problem, const Penalty& penalty, double rounding, int lane) {
  double product = 0.0, fitted = 0.0, removed = 0.0;
  for (int j = lane; j < problem.m; j += 32) {
    const double w = problem.coef[j], g = problem.gradient[j];
    if (w == 0.0) continue;
    if ((penalty.a + penalty.b) * penalty.weights[j] > 0.0 || penalty.positive) product += w * g;
    fitted += fabs(w) * sqrt(problem.curvatures[j]);
    removed += w * (problem.correlation[j] + g);
  }
  product = warp_sum(product);
  fitted = warp_sum(fitted);
  const double sq_residual = fmax(problem.sq_norm - warp_sum(removed), 0.0);
  const double noise = rounding * fmax(sqrt(problem.sq_norm), fitted);

  double feasible = infinity(), needed = infinity(), ridge = 0.0;
  for (int j = lane; j < problem.m; j += 32) {
    const double l1 = penalty.a * penalty.weights[j], l2 = penalty.b * penalty.weights[j];
    if (l1 + l2 == 0.0 && !penalty.positive) continue;
    if (l2 > 0.0) ridge = 1.0;
    const double g = problem.gradient[j], size = penalty.positive ? g : fabs(g);
    if (!(problem.curvatures[j] > 0.0 && size > 0.0)) continue;
    if (size > l1 + noise * sqrt(problem.curvatures[j])) {
      feasible = fmin(feasible, l1 / size);
      if (l2 == 0.0) needed = fmin(needed, l1 / size);
    } else {
      feasible = fmin(feasible, fmax(1.0, l1 / size));
    }
  }
  feasible = warp_min(feasible);
  needed = warp_min(needed);
  ridge = warp_max(ridge);

  double scale = fmin(1.0, needed);
  if (ridge == 0.0 && sq_residual > 0.0)
    scale = fmax(0.0, fmin(1.0 + product / sq_residual, feasible));
  const double gap = gap_at(scale, problem, penalty, sq_residual, lane);
  if (ridge == 0.0 || !(feasible < scale)) return gap;
  return fmin(gap, gap_at(feasible, problem, penalty, sq_residual, lane));
}

// What the best move of a single coefficient would bring, the largest over all of them.
__device__ __forceinline__ double largest_gain(const Problem& problem, const Penalty& penalty, int lane) {
  double largest = 0.0;
  for (int j = lane; j < problem.m; j += 32) {
    const double curvature = problem.curvatures[j];
    if (!(curvature > 0.0)) continue;
    const double w = problem.coef[j], z = w + problem.gradient[j] / curvature;
    const double p = prox_column(penalty, j, z, 1.0 / curvature);
    if (p == w) continue;
    const double here = w != 0.0 ? value_column(penalty, j, w) : 0.0;
    const double there = p != 0.0 ? value_column(penalty, j, p) : 0.0;
    double gain = 0.5 * curvature * (w - p) * (w + p - 2.0 * z) + here - there;
    if (w * p > 0.0) gain = fmin(gain, 0.5 * curvature * (w - p) * (w - p));
    if (!(gain < 0.0)) largest = gain == gain ? fmax(largest, gain) : infinity();
  }
  return warp_max(largest);
}

extern "C" __global__ void __launch_bounds__(128) gram_cd_batch(
    const double* gram, const double* curvatures, const double* steps, const double* thresholds,
    const double* correlations, const double* sq_norms, double* coefs, const double* params,
    const double* weights, const double* scales, const double* targets, double* certificates,
    index_t* epochs, int kind, int has_scales, int m, int n_problems, int max_epochs,
    double rounding) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const index_t b = blockIdx.x * (index_t)(blockDim.x / 32) + warp;
  if (b >= n_problems) return;  // the whole warp; there is no barrier of the block
  const Penalty penalty = {
      kind, params[0], params[1], params[2] != 0.0, weights, has_scales ? scales : nullptr};
  double* gradient = SHARED_MEMORY + (index_t)warp * (2 * m + NEWTON_DOUBLES);
  const Problem problem = {gram, curvatures, steps, thresholds, correlations + b * m,
                           sq_norms[b], gradient + m, gradient, m};

  for (int j = lane; j < m; j += 32)
    problem.coef[j] = curvatures[j] > 0.0 ? coefs[b * m + j] : 0.0;
  refresh(problem, lane);
  take_large_steps(problem, penalty, lane);
  int used = 0, newton_at = kind == ELASTIC_NET ? 1 : -1;
  double certificate;
  while (true) {
    const double decrease = sweep(problem, penalty, lane);
    used += 1;
    bool moved = false;
    if (decrease > targets[b] && used == newton_at) {
      moved = newton_step(problem, penalty, gradient + 2 * m, lane);
      newton_at = moved ? used + 1 : 2 * used;
    }
    if (decrease > targets[b] && used < max_epochs && !moved) continue;
    refresh(problem, lane);  // near the end, a certificate from a gradient that is computed anew
    certificate = kind == ELASTIC_NET ? dual_gap(problem, penalty, rounding, lane)
                                      : largest_gain(problem, penalty, lane);
    const bool solved = certificate <= targets[b] || !(certificate < infinity());
    if (solved || used >= max_epochs || decrease == 0.0) break;
  }
  for (int j = lane; j < m; j += 32) coefs[b * m + j] = problem.coef[j];
  if (lane == 0) certificates[b] = certificate, epochs[b] = used;
}
