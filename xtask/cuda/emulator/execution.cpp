// Kernels on the CPU: block after block, the threads of a block as fibers that meet at barriers.
//
// A fiber runs thread after thread until one waits at a barrier; then the next fiber takes over. A
// kernel without barriers so needs a single fiber. Where the order of work is not the plain one
// (CXR_EMULATED_ORDER), blocks and threads run backwards: what depends on their order, a missing
// barrier for one, then gives other numbers.

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <vector>

#include "emulator.hpp"
#include "on_cpu.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {
namespace {

constexpr size_t PAGE = 4096;
constexpr size_t STACK = 64 << 10;
constexpr size_t SHARED = 256 << 10;
constexpr unsigned char FRESH = 0xff;

struct Fiber {
  char *stack = nullptr;
  jmp_buf here;
  dim3 thread;
};

enum class Fault { None, Address, Undefined, Barrier };

// What runs now. One kernel at a time: the emulator's lock is held.
struct Running {
  const Launch *launch = nullptr;
  unsigned next = 0, n_threads = 0, n_finished = 0;
  std::vector<Fiber *> waiting;
  Fiber *current = nullptr;
  jmp_buf scheduler;
  sigjmp_buf faulted;
  pthread_t on = 0;
  Fault fault = Fault::None;
  Address touched = 0;
  char *shared = nullptr;
};

Running now;
std::vector<Fiber *> idle;
char *shared_end = nullptr;

char *guarded_pages(size_t bytes) {
  void *range = mmap(nullptr, bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return nullptr;
  char *usable = static_cast<char *>(range) + PAGE;
  return mprotect(usable, bytes, PROT_READ | PROT_WRITE) == 0 ? usable : nullptr;
}

dim3 place_of(unsigned index, const unsigned (&size)[3], unsigned count) {
  if (order() != Order::AtOnce) index = count - 1 - index;
  return {index % size[0], index / size[0] % size[1], index / size[0] / size[1]};
}

// The body of a fiber: threads that nobody has begun yet, one after the other.
void run_threads() {
  for (;;) {
    while (now.next < now.n_threads) {
      threadIdx = now.current->thread = place_of(now.next++, now.launch->block, now.n_threads);
      now.launch->call(now.launch->arguments);
      now.n_finished++;
    }
    idle.push_back(now.current);
    _longjmp(now.scheduler, 1);
  }
}

Fiber *fresh_fiber() {
  if (!idle.empty()) {
    Fiber *fiber = idle.back();
    idle.pop_back();
    return fiber;
  }
  Fiber *fiber = new Fiber;
  fiber->stack = guarded_pages(STACK);
  return fiber;
}

void start(Fiber *fiber) {
  now.current = fiber;
  ucontext_t context;
  if (_setjmp(now.scheduler) == 0) {
    getcontext(&context);
    context.uc_stack.ss_sp = fiber->stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, run_threads, 0);
    setcontext(&context);
  }
}

void resume(Fiber *fiber) {
  now.current = fiber;
  threadIdx = fiber->thread;
  if (_setjmp(now.scheduler) == 0) _longjmp(fiber->here, 1);
}

// Whether all threads of the block came to its end; not where some wait for ones that will not come.
bool run_block() {
  now.next = now.n_finished = 0;
  now.waiting.clear();
  const size_t shared = (now.launch->shared_bytes + 15) / 16 * 16;
  now.shared = shared_end - shared;
  memset(now.shared, FRESH, shared);
  while (now.next < now.n_threads) {
    Fiber *fiber = fresh_fiber();
    if (!fiber->stack) return false;
    start(fiber);
  }
  while (!now.waiting.empty()) {
    if (now.n_finished > 0) {
      now.fault = Fault::Barrier;
      return false;
    }
    std::vector<Fiber *> released;
    released.swap(now.waiting);
    for (Fiber *fiber : released) resume(fiber);
  }
  return true;
}

bool run_grid() {
  const auto &grid = now.launch->grid;
  const uint64_t count = uint64_t{grid[0]} * grid[1] * grid[2];
  for (uint64_t index = 0; index < count; index++) {
    const uint64_t at = order() == Order::AtOnce ? index : count - 1 - index;
    blockIdx = {static_cast<unsigned>(at % grid[0]), static_cast<unsigned>(at / grid[0] % grid[1]),
                static_cast<unsigned>(at / grid[0] / grid[1])};
    if (!run_block()) return false;
  }
  return true;
}

void say_where(const char *what) {
  complain("kernel %s, block (%u, %u, %u), thread (%u, %u, %u): %s", now.launch->name, blockIdx.x, blockIdx.y,
           blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, what);
}

Code code_of_fault() {
  switch (now.fault) {
    case Fault::Address:
      say_where("touched memory that it must not");
      describe(now.touched);
      return ILLEGAL_ADDRESS;
    case Fault::Undefined:
      say_where("an address that is not aligned, an index outside of an array, or an overflow of a signed number");
      return MISALIGNED_ADDRESS;
    case Fault::Barrier:
      say_where("some threads of the block wait at a barrier, others have ended");
      return LAUNCH_FAILED;
    case Fault::None:
      break;
  }
  say_where("no memory for its threads");
  return LAUNCH_FAILED;
}

struct sigaction before[3];
constexpr int SIGNALS[3] = {SIGSEGV, SIGBUS, SIGILL};

// A fault inside a kernel ends the kernel; any other goes to whoever handled it before.
void on_signal(int signal, siginfo_t *about, void *context) {
  if (now.launch && pthread_equal(now.on, pthread_self())) {
    now.fault = signal == SIGILL ? Fault::Undefined : Fault::Address;
    now.touched = reinterpret_cast<Address>(about->si_addr);
    siglongjmp(now.faulted, 1);
  }
  for (int i = 0; i < 3; i++) {
    if (SIGNALS[i] != signal) continue;
    if (before[i].sa_flags & SA_SIGINFO) return before[i].sa_sigaction(signal, about, context);
    sigaction(signal, &before[i], nullptr);  // The instruction runs again and ends the process.
  }
}

}  // namespace

void install_fault_handler() {
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (int i = 0; i < 3; i++) sigaction(SIGNALS[i], &action, &before[i]);
}

Code execute(const Launch &launch) {
  if (!shared_end) {
    char *pages = guarded_pages(SHARED);
    if (!pages) return OUT_OF_MEMORY;
    shared_end = pages + SHARED;
  }
  now.n_threads = launch.block[0] * launch.block[1] * launch.block[2];
  now.fault = Fault::None;
  now.on = pthread_self();
  blockDim = {launch.block[0], launch.block[1], launch.block[2]};
  gridDim = {launch.grid[0], launch.grid[1], launch.grid[2]};
  now.launch = &launch;
  Code code = SUCCESS;
  if (sigsetjmp(now.faulted, 1) != 0 || !run_grid()) code = code_of_fault();
  now.launch = nullptr;
  return code;
}

}  // namespace emulator

namespace cxr_on_cpu {

void barrier() {
  emulator::Fiber *fiber = emulator::now.current;
  if (_setjmp(fiber->here) == 0) {
    emulator::now.waiting.push_back(fiber);
    _longjmp(emulator::now.scheduler, 1);
  }
}

void *shared_memory() { return emulator::now.shared; }

}  // namespace cxr_on_cpu
