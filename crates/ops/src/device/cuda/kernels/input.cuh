// Pictures under their draws, and planes, into the input map.

// `PictureGather` as it lies in memory.
struct Gather {
  unsigned long long start;
  unsigned kind, flip;
  int rotation[6], affine[6];
  double matrix[6];
  unsigned table, unused[3];
};
enum GatherKind { STILL, FIXED, SEPARABLE, TABLE, BILINEAR };

struct Pictures {
  const uint8_t *pixels;
  unsigned long long pixels_len;
  const int *tables;
  unsigned long long tables_len;
  int height, width, channels;
};

// A byte of a picture; what lies behind the pixels is black.
__device__ __forceinline__ float shown(const Pictures &pictures, unsigned long long at) {
  return at < pictures.pixels_len ? (float)pictures.pixels[at] : 0.f;
}

// A number of a table; what lies behind the tables is outside.
__device__ __forceinline__ int tabled(const Pictures &pictures, unsigned long long at) {
  return at < pictures.tables_len ? pictures.tables[at] : -1;
}

// A map in 16.16 fixed point; the sums wrap.
__device__ __forceinline__ int2 mapped(const int *map, int x, int y) {
  const unsigned u = (unsigned)map[2] + (unsigned)map[0] * (unsigned)x +
                     (unsigned)map[1] * (unsigned)y;
  const unsigned v = (unsigned)map[5] + (unsigned)map[3] * (unsigned)x +
                     (unsigned)map[4] * (unsigned)y;
  return make_int2((int)u >> 16, (int)v >> 16);
}

__device__ __forceinline__ bool is_inside(const Pictures &pictures, int2 place) {
  return (unsigned)place.x < (unsigned)pictures.width &&
         (unsigned)place.y < (unsigned)pictures.height;
}

// The place in the picture that place (x, y) of the output shows; −1 outside.
__device__ __forceinline__ int nearest(const Pictures &pictures, const Gather &gather, int x,
                                       int y) {
  if (gather.kind == STILL) return y * pictures.width + x;
  if (gather.kind == TABLE) {
    const int place =
        tabled(pictures, gather.table + (unsigned long long)y * pictures.width + x);
    return place < pictures.height * pictures.width ? place : -1;
  }
  int2 place;
  if (gather.kind == FIXED) {
    place = mapped(gather.affine, x, y);
  } else {
    const unsigned long long columns = gather.table;
    place = make_int2(tabled(pictures, columns + x),
                      tabled(pictures, columns + pictures.width + y));
  }
  if (!is_inside(pictures, place)) return -1;
  place = mapped(gather.rotation, place.x, place.y);
  if (!is_inside(pictures, place)) return -1;
  const int column = gather.flip ? pictures.width - 1 - place.x : place.x;
  return place.y * pictures.width + column;
}

// Between four pixels, with a black border; levels of each channel.
__device__ __forceinline__ void bilinear(const Pictures &pictures, const Gather &gather, int x,
                                         int y, float *levels) {
  const double *map = gather.matrix;
  const double column = x + 0.5, row = y + 0.5;
  const double u = __dsub_rn(
      __dadd_rn(__dadd_rn(__dmul_rn(map[0], column), __dmul_rn(map[1], row)), map[2]), 0.5);
  const double v = __dsub_rn(
      __dadd_rn(__dadd_rn(__dmul_rn(map[3], column), __dmul_rn(map[4], row)), map[5]), 0.5);
  for (int channel = 0; channel < pictures.channels; channel++) levels[channel] = 0.f;
  if (!(u >= -1.0 && u < pictures.width && v >= -1.0 && v < pictures.height)) return;
  const double left = floor(u), top = floor(v);
  const float right_share = (float)__dsub_rn(u, left), lower_share = (float)__dsub_rn(v, top);
  const float left_share = __fsub_rn(1.f, right_share), upper_share = __fsub_rn(1.f, lower_share);
  for (int channel = 0; channel < pictures.channels; channel++) {
    float rows[2];
#pragma unroll
    for (int below = 0; below < 2; below++) {
      float corners[2];
#pragma unroll
      for (int beside = 0; beside < 2; beside++) {
        const int2 place = make_int2((int)left + beside, (int)top + below);
        const unsigned long long at =
            gather.start +
            ((unsigned long long)place.y * pictures.width + place.x) * pictures.channels + channel;
        corners[beside] = is_inside(pictures, place) ? shown(pictures, at) : 0.f;
      }
      rows[below] =
          __fadd_rn(__fmul_rn(corners[0], left_share), __fmul_rn(corners[1], right_share));
    }
    levels[channel] = __fadd_rn(__fmul_rn(rows[0], upper_share), __fmul_rn(rows[1], lower_share));
  }
}

// One thread a pixel, one load's numbers each; blockIdx.y counts images.
template <typename T>
__device__ __forceinline__ void fill_pictures(const Pictures &pictures, int images,
                                              const Gather *gathers, const float *means,
                                              const float *deviations, T *output) {
  const int N = Vector<T>::N, places = pictures.height * pictures.width;
  for (int image = blockIdx.y; image < images; image += gridDim.y) {
    const Gather &gather = gathers[image];
    for (int place = (int)grid_thread(); place < places; place += (int)grid_threads()) {
      const int x = place % pictures.width, y = place / pictures.width;
      float levels[3] = {0.f, 0.f, 0.f};
      if (gather.kind == BILINEAR) {
        bilinear(pictures, gather, x, y, levels);
      } else {
        const int from = nearest(pictures, gather, x, y);
        if (from >= 0)
          for (int channel = 0; channel < pictures.channels; channel++)
            levels[channel] = shown(
                pictures,
                gather.start + (unsigned long long)from * pictures.channels + channel);
      }
      float numbers[N];
#pragma unroll
      for (int i = 0; i < N; i++) {
        numbers[i] = 0.f;
        if (i < 3) {
          const float level = pictures.channels == 1 ? levels[0] : levels[i];
          numbers[i] =
              __fdiv_rn(__fsub_rn(__fdiv_rn(level, 255.f), means[i]), deviations[i]);
        }
      }
      store<T>(output + ((long long)image * places + place) * N, numbers);
    }
  }
}

#define FILL_PICTURES(NAME, T)                                                                    \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      NAME(const uint8_t *pixels, unsigned long long pixels_len, const uint8_t *gathers,          \
           const uint8_t *tables, unsigned long long tables_len, int images, int height,          \
           int width, int channels, float mean_0, float mean_1, float mean_2, float deviation_0,  \
           float deviation_1, float deviation_2, T *output) {                                     \
    const Pictures pictures = {pixels,     pixels_len, reinterpret_cast<const int *>(tables),     \
                               tables_len, height,     width,                                     \
                               channels};                                                         \
    const float means[3] = {mean_0, mean_1, mean_2};                                              \
    const float deviations[3] = {deviation_0, deviation_1, deviation_2};                          \
    fill_pictures<T>(pictures, images, reinterpret_cast<const Gather *>(gathers), means,          \
                     deviations, output);                                                         \
  }                                                                                               \
  CXR_KERNEL(NAME)
FILL_PICTURES(cxr_fill_pictures_f32, float)
FILL_PICTURES(cxr_fill_pictures_bf16, bf16)

// Planes [images, 3, places] into [images, places, N], zeros beyond the third channel.
template <typename T>
__device__ __forceinline__ void fill_planes(const float *__restrict__ planes, int images,
                                            int places, T *__restrict__ output) {
  const int N = Vector<T>::N;
  for (int image = blockIdx.y; image < images; image += gridDim.y) {
    for (int place = (int)grid_thread(); place < places; place += (int)grid_threads()) {
      float numbers[N];
#pragma unroll
      for (int i = 0; i < N; i++)
        numbers[i] = i < 3 ? planes[((long long)image * 3 + i) * places + place] : 0.f;
      store<T>(output + ((long long)image * places + place) * N, numbers);
    }
  }
}

#define FILL_PLANES(NAME, T)                                                                      \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      NAME(const float *planes, int images, int places, T *output) {                              \
    fill_planes<T>(planes, images, places, output);                                               \
  }                                                                                               \
  CXR_KERNEL(NAME)
FILL_PLANES(cxr_fill_planes_f32, float)
FILL_PLANES(cxr_fill_planes_bf16, bf16)
