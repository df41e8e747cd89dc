// cuRAND as far as making a device needs it: generators that can be made, seeded and given back.

#include "emulator.hpp"

namespace emulator {

struct Generator {
  unsigned long long seed;
};

EXPORTED int curandCreateGenerator(Generator **generator, int) {
  *generator = new Generator{0};
  return 0;
}

EXPORTED int curandDestroyGenerator(Generator *generator) {
  delete generator;
  return 0;
}

EXPORTED int curandSetPseudoRandomGeneratorSeed(Generator *generator, unsigned long long seed) {
  generator->seed = seed;
  return 0;
}

EXPORTED int curandSetGeneratorOffset(Generator *, unsigned long long) { return 0; }

EXPORTED int curandSetStream(Generator *, void *stream) {
  Turn turn(everything());
  return stream_of(stream) ? 0 : 104;
}

}  // namespace emulator
