// Scalar formulas of the separable penalties, in the order of sparsereg.penalties.base.Kind. They are
// those of sparsereg/backends/numba/penalty_kernels.py, which has the mathematics and its sources;
// tests hold the two together.

#define ELASTIC_NET 0
#define FIRM 1
#define L0 2
#define LQ 3
#define SCAD 4
#define LOG_SUM 5
#define TRANSFORMED_L1 6
#define CAPPED_L1 7

#define FLAT (1.0 - 16 * 2.220446049250313e-16)
#define NEWTON_STEPS 12

// A penalty sum_j weight_j phi(scale_j |w_j|); scales is null where all are one.
struct Penalty {
  int kind;
  double a, b;
  bool positive;
  const double* weights;
  const double* scales;
};

__device__ __forceinline__ double soft(double z, double u) { return z > u ? z - u : 0.0; }

__device__ double prox_firm(double slope, double curvature, double t, double z) {
  if (t * curvature >= FLAT) return z > slope * sqrt(t / curvature) ? z : 0.0;
  if (z <= t * slope) return 0.0;
  if (z * curvature >= slope) return z;
  return fmin((z - t * slope) / (1.0 - t * curvature), z);
}

__device__ double prox_lq(double u, double q, double z) {
  const double jump = pow(2.0 * u * (1.0 - q), 1.0 / (2.0 - q));
  if (z <= jump * ((2.0 - q) / (2.0 * (1.0 - q)))) return 0.0;
  if (q == 0.5) {
    const double angle = acos(-0.75 * sqrt(3.0) * u * pow(z, -1.5));
    return (2.0 / 3.0) * z * (1.0 + cos((2.0 / 3.0) * angle));
  }
  if (!(z < 1e100 * jump)) return z;
  const double target = z / jump, c = q / (2.0 * (1.0 - q));
  double y = target;
  for (int step = 0; step < NEWTON_STEPS; ++step) {
    const double power = c * pow(y, q - 2.0);
    const double smaller = y - (y + power * y - target) / (1.0 - (1.0 - q) * power);
    if (!(smaller < y)) break;
    y = smaller;
  }
  return y * jump;
}

__device__ double prox_scad(double alpha, double gamma, double t, double z) {
  if (t >= (gamma - 1.0) * FLAT) {
    const double threshold = t <= gamma + 1.0 ? 0.5 * alpha * (gamma + 1.0 + t)
                                              : alpha * sqrt(t * (gamma + 1.0));
    return z > threshold ? z : soft(z, t * alpha);
  }
  if (z <= (1.0 + t) * alpha) return soft(z, t * alpha);
  if (z >= gamma * alpha) return z;
  return z - t * (gamma * alpha - z) / (gamma - 1.0 - t);
}

__device__ double log_sum_root(double u, double eps, double z) {
  const double root = sqrt(z + eps - 2.0 * sqrt(u)) * sqrt(z + eps + 2.0 * sqrt(u));
  if (z < eps) return 2.0 * (z * eps - u) / (root + (eps - z));
  return 0.5 * (z - eps) + 0.5 * root;
}

__device__ double prox_log_sum(double u, double eps, double z) {
  if (u <= eps * eps) return z * eps > u ? log_sum_root(u, eps, z) : 0.0;
  if (z <= 2.0 * sqrt(u) - eps) return 0.0;
  const double x = log_sum_root(u, eps, z);
  return z * eps >= u || x * (0.5 * x - z) + u * log1p(x / eps) < 0.0 ? x : 0.0;
}

__device__ double prox_transformed_l1(double u, double a, double z) {
  const double total = u * (a + 1.0);
  const bool jumps = 2.0 * total > a * a;
  if (z <= (jumps ? sqrt(2.0 * total) - 0.5 * a : total / a)) return 0.0;
  const double sum = a + z;
  const double cosine = 1.0 - 13.5 * (total / sum) * (a / sum) / sum;
  const double angle = acos(fmax(cosine, -1.0)) / 3.0;
  double x = (2.0 / 3.0) * sum * cos(angle) - (2.0 / 3.0) * a + z / 3.0;
  const double pull = (total / (a + x)) * (a / (a + x));
  const double steepness = 1.0 - 2.0 * pull / (a + x);
  if (steepness > 1e-3) x -= (x - z + pull) / steepness;
  return fmin(fmax(x, 0.0), z);
}

__device__ double prox_capped_l1(double u, double theta, double z) {
  const double threshold = u <= 2.0 * theta ? theta + 0.5 * u : sqrt(2.0 * u) * sqrt(theta);
  return z > threshold ? z : soft(z, u);
}

// Prox of t phi for every kind but the first, at z >= 0. Not inlined: the elastic net needs its registers.
__device__ __noinline__ double prox_size(int kind, double a, double b, double t, double z) {
  if (z == 0.0 || t == infinity()) return 0.0;
  if (t * a == 0.0) return z;
  if (kind == FIRM) return prox_firm(a, b, t, z);
  if (kind == L0) return z > sqrt(2.0 * t) * sqrt(a) ? z : 0.0;
  if (kind == LQ) return prox_lq(t * a, b, z);
  if (kind == SCAD) return prox_scad(a, b, t, z);
  if (kind == LOG_SUM) return prox_log_sum(t * a, b, z);
  if (kind == TRANSFORMED_L1) return prox_transformed_l1(t * a, b, z);
  return prox_capped_l1(t * a, b, z);
}

// Global minimizer over x of (x - v)^2 / (2 step) + weight phi(x).
__device__ __forceinline__ double prox_scalar(const Penalty& penalty, double weight, double v, double step) {
  if (v != v) return v;  // NaN stays to be seen
  if (penalty.kind == ELASTIC_NET) {
    const double threshold = step * penalty.a * weight;
    if (v > threshold) return (v - threshold) / (1.0 + step * penalty.b * weight);
    if (v < -threshold && !penalty.positive)
      return (v + threshold) / (1.0 + step * penalty.b * weight);
    return 0.0;
  }
  if (v < 0.0)
    return penalty.positive ? 0.0 : -prox_size(penalty.kind, penalty.a, penalty.b, step * weight, -v);
  return prox_size(penalty.kind, penalty.a, penalty.b, step * weight, v);
}

__device__ __forceinline__ double prox_column(const Penalty& penalty, int j, double v, double step) {
  const double weight = penalty.weights[j];
  if (!penalty.scales) return prox_scalar(penalty, weight, v, step);
  const double scale = penalty.scales[j], scaled = scale * v;
  const double x = prox_scalar(penalty, weight, scaled, step * scale * scale);
  return x == scaled ? v : x / scale;
}

// phi(x) for x >= 0.
__device__ __noinline__ double value_scalar(int kind, double a, double b, double x) {
  if (x == 0.0) return 0.0;
  if (kind == ELASTIC_NET) return a * x + 0.5 * b * x * x;
  if (kind == FIRM) {
    if (b * x < a) return x * (a - 0.5 * b * x);
    return b > 0.0 ? 0.5 * a * a / b : 0.0;
  }
  if (kind == L0) return a;
  if (kind == LQ) return a * pow(x, b);
  if (kind == SCAD) {
    if (x <= a) return a * x;
    if (x < b * a) return (2.0 * b * a * x - x * x - a * a) / (2.0 * (b - 1.0));
    return 0.5 * a * a * (b + 1.0);
  }
  if (kind == LOG_SUM) return a * log1p(x / b);
  if (kind == TRANSFORMED_L1)
    return x < infinity() ? a * (b + 1.0) * (x / (b + x)) : a * (b + 1.0);
  return a * fmin(x, b);
}

__device__ __forceinline__ double value_column(const Penalty& penalty, int j, double w) {
  if (w < 0.0 && penalty.positive) return infinity();
  const double scale = penalty.scales ? penalty.scales[j] : 1.0;
  const double value = value_scalar(penalty.kind, penalty.a, penalty.b, fabs(scale * w));
  return value != 0.0 ? penalty.weights[j] * value : 0.0;
}
