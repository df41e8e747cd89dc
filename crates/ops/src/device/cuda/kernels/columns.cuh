// How a block's threads share a map: lanes along the channels, slots along the rows.
//
// A thread keeps its channels, so that it loads what belongs to them once. Lanes beyond the last
// channel and threads beyond the last whole slot have nothing to do.

// Threads of every block that works on columns.
#define BLOCK 256
// Blocks that a multiprocessor must have registers for: as many as it is given, so that all run at
// once, and none after the others.
#define BLOCKS_HELD 3

struct Column {
  int lane, lanes, slot, slots, channel;
  bool has_work;
  // The first row of this thread, and how far the next one is.
  long long row, step;
};

template <int N> __device__ __forceinline__ Column column_of_thread(int lanes, int channels) {
  Column column;
  column.lanes = lanes;
  column.lane = threadIdx.x % lanes;
  column.slot = threadIdx.x / lanes;
  column.slots = BLOCK / lanes;
  column.channel = (blockIdx.y * lanes + column.lane) * N;
  column.has_work = column.slot < column.slots && column.channel < channels;
  column.row = (long long)blockIdx.x * column.slots + column.slot;
  column.step = (long long)gridDim.x * column.slots;
  return column;
}

// Calls load_row(place, row) for AHEAD rows of a thread before use_row(place, row) for each of them:
// so many loads are on their way at once.
template <int AHEAD, typename Load, typename Use>
__device__ __forceinline__ void each_row(const Column &column, long long rows, Load load_row,
                                         Use use_row) {
  long long row = column.row;
  for (; row + (AHEAD - 1) * column.step < rows; row += AHEAD * column.step) {
#pragma unroll
    for (int place = 0; place < AHEAD; place++) load_row(place, row + place * column.step);
#pragma unroll
    for (int place = 0; place < AHEAD; place++) use_row(place, row + place * column.step);
  }
  for (; row < rows; row += column.step) {
    load_row(0, row);
    use_row(0, row);
  }
}

// N numbers of every thread into shared memory, [N, BLOCK].
template <int N> __device__ __forceinline__ void share(float *shared, const float *numbers) {
#pragma unroll
  for (int i = 0; i < N; i++) shared[i * BLOCK + threadIdx.x] = numbers[i];
}

// The sum over the slots of the number `index` that the threads of a lane shared.
__device__ __forceinline__ double over_slots(const float *shared, int index, int lane,
                                             const Column &column) {
  double sum = 0;
  for (int slot = 0; slot < column.slots; slot++)
    sum += shared[index * BLOCK + slot * column.lanes + lane];
  return sum;
}

// Two sums per channel of this block into `partial` [blocks, 2, channels].
template <int N>
__device__ __forceinline__ void store_block_sums(float *shared, const float *first,
                                                 const float *second, const Column &column,
                                                 int channels, float *partial) {
  share<N>(shared, first);
  share<N>(shared + N * BLOCK, second);
  __syncthreads();
  for (int place = threadIdx.x; place < 2 * N * column.lanes; place += BLOCK) {
    const int lane = place % column.lanes, index = place / column.lanes;
    const int channel = (blockIdx.y * column.lanes + lane) * N + index % N;
    if (channel < channels)
      partial[((long long)blockIdx.x * 2 + index / N) * channels + channel] =
          (float)over_slots(shared, index, lane, column);
  }
}

// What a block of FINISH_CHANNELS · FINISH_SLICES threads makes of such partial sums.
#define FINISH_CHANNELS 32
#define FINISH_SLICES 32

struct Totals {
  int channel;
  // Whether this thread has the totals of the channel.
  bool is_mine;
  double first, second;
};

__device__ __forceinline__ Totals total_of_blocks(double *shared, const float *partial, int blocks,
                                                  int channels) {
  const int lane = threadIdx.x % FINISH_CHANNELS, slice = threadIdx.x / FINISH_CHANNELS;
  Totals totals;
  totals.channel = blockIdx.x * FINISH_CHANNELS + lane;
  double first = 0, second = 0;
  if (totals.channel < channels) {
    const float *from = partial + totals.channel;
#pragma unroll 4
    for (int block = slice; block < blocks; block += FINISH_SLICES) {
      first += from[2ll * block * channels];
      second += from[(2ll * block + 1) * channels];
    }
  }
  double *seconds = shared + FINISH_CHANNELS * FINISH_SLICES;
  shared[threadIdx.x] = first;
  seconds[threadIdx.x] = second;
  __syncthreads();
  totals.is_mine = slice == 0 && totals.channel < channels;
  totals.first = totals.second = 0;
  if (totals.is_mine)
    for (int other = 0; other < FINISH_SLICES; other++) {
      totals.first += shared[other * FINISH_CHANNELS + lane];
      totals.second += seconds[other * FINISH_CHANNELS + lane];
    }
  return totals;
}

// The sum of one number of each of the block's BLOCK threads, for all of them.
__device__ __forceinline__ double sum_of_block(double *shared, double number) {
  shared[threadIdx.x] = number;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  const double sum = shared[0];
  __syncthreads();
  return sum;
}
