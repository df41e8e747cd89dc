// Planes of channels, as candle's tensors have them, to rows of channels and back: matrices that are
// turned by tiles in shared memory, so that both sides are read and written in one piece. Planes may
// begin anywhere: they are read number by number.

// Places and channels of a tile.
#define TILE 32
#define TILE_LINES (BLOCK / TILE)
// One more than a line's numbers: a column's numbers then lie in different banks.
#define TILE_STEP (TILE + 1)

// Which tile this block turns, and where its threads stand in it.
struct Turn {
  int place, channel, lane, line;
};

__device__ __forceinline__ Turn turn_of_thread(int places) {
  const int place_tiles = (places + TILE - 1) / TILE;
  Turn turn;
  turn.place = (int)(blockIdx.x % place_tiles) * TILE;
  turn.channel = (int)(blockIdx.x / place_tiles) * TILE;
  turn.lane = threadIdx.x % TILE;
  turn.line = threadIdx.x / TILE;
  return turn;
}

// [images, channels, places] to [all_images, places, wide]; zeros beyond the images and the channels
// that there are.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_planes_to_rows(int images, int all_images, int channels, int wide, int places,
                       const float *__restrict__ planes, float *__restrict__ rows) {
  CXR_SHARED(float, tile);
  const Turn turn = turn_of_thread(places);
  for (int image = blockIdx.y; image < all_images; image += gridDim.y) {
    const float *from = planes + (long long)image * channels * places;
    float *to = rows + (long long)image * places * wide;
    for (int line = turn.line; line < TILE; line += TILE_LINES) {
      const int channel = turn.channel + line, place = turn.place + turn.lane;
      const bool is_there = image < images && channel < channels && place < places;
      tile[line * TILE_STEP + turn.lane] =
          is_there ? from[(long long)channel * places + place] : 0.f;
    }
    __syncthreads();
    for (int line = turn.line; line < TILE; line += TILE_LINES) {
      const int channel = turn.channel + turn.lane, place = turn.place + line;
      if (channel < wide && place < places)
        to[(long long)place * wide + channel] = tile[turn.lane * TILE_STEP + line];
    }
    __syncthreads();
  }
}
CXR_KERNEL(cxr_planes_to_rows)

// The first channels of [images, places, wide] to [images, channels, places], plus the channel's
// bias. `bias` may be null: then there is none.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_rows_to_planes(int images, int channels, int wide, int places,
                       const float *__restrict__ rows, const float *__restrict__ bias,
                       float *__restrict__ planes) {
  CXR_SHARED(float, tile);
  const Turn turn = turn_of_thread(places);
  for (int image = blockIdx.y; image < images; image += gridDim.y) {
    const float *from = rows + (long long)image * places * wide;
    float *to = planes + (long long)image * channels * places;
    for (int line = turn.line; line < TILE; line += TILE_LINES) {
      const int channel = turn.channel + turn.lane, place = turn.place + line;
      if (channel < channels && place < places)
        tile[turn.lane * TILE_STEP + line] = from[(long long)place * wide + channel];
    }
    __syncthreads();
    for (int line = turn.line; line < TILE; line += TILE_LINES) {
      const int channel = turn.channel + line, place = turn.place + turn.lane;
      if (channel < channels && place < places) {
        const float number = tile[line * TILE_STEP + turn.lane];
        to[(long long)channel * places + place] = bias ? __fadd_rn(number, bias[channel]) : number;
      }
    }
    __syncthreads();
  }
}
CXR_KERNEL(cxr_rows_to_planes)
