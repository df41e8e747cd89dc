// The card's memory: a range of addresses of which no part is ever used twice.
//
// An allocation ends where a page ends, before a page that cannot be touched: what reads or writes
// beyond it, or after it was freed, faults. What is left of its pages holds a pattern that is
// looked at when the host waits and when it is freed. Fresh memory is all ones: not-a-number in
// every floating-point type.

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <map>

#include "emulator.hpp"

namespace emulator {
namespace {

constexpr size_t PAGE = 4096;
constexpr size_t ALIGNMENT = 256;
constexpr size_t DEFAULT_TOTAL = size_t{2} << 30;
constexpr unsigned char FRESH = 0xff, GUARD = 0xa5;

struct Allocation {
  size_t bytes;
  Address pages;  // Where its pages begin.
  size_t mapped;  // The length of its pages.
};

size_t up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

struct Arena {
  Address base = 0, next = 0, end = 0;
  size_t total = DEFAULT_TOTAL, used = 0;
  std::map<Address, Allocation> allocations;
  std::map<Address, size_t> pinned;

  Arena() {
    if (const char *text = getenv("CXR_EMULATED_MEMORY")) total = strtoull(text, nullptr, 10);
    for (size_t bytes = size_t{1} << 40; bytes >= size_t{1} << 33; bytes /= 2) {
      void *range = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (range == MAP_FAILED) continue;
      base = next = reinterpret_cast<Address>(range);
      end = base + bytes;
      break;
    }
  }
};

Arena &arena() {
  static Arena *it = new Arena;  // Never destroyed: other libraries free their memory at exit.
  return *it;
}

unsigned char *bytes_at(Address address) { return reinterpret_cast<unsigned char *>(address); }

bool is_pattern(Address from, Address to) {
  for (Address place = from; place < to; place++)
    if (*bytes_at(place) != GUARD) return false;
  return true;
}

bool is_guarded(Address address, const Allocation &of) {
  return is_pattern(of.pages, address) && is_pattern(address + of.bytes, of.pages + of.mapped);
}

const std::pair<const Address, Allocation> *allocation_before(Address address) {
  auto after = arena().allocations.upper_bound(address);
  return after == arena().allocations.begin() ? nullptr : &*--after;
}

}  // namespace

Code allocate(size_t bytes, Address *address) {
  if (bytes == 0) return INVALID_VALUE;
  Arena &a = arena();
  const size_t whole = up(bytes, ALIGNMENT), mapped = up(whole, PAGE);
  if (whole < bytes || whole > a.total - a.used || mapped + PAGE > a.end - a.next) return OUT_OF_MEMORY;
  if (mprotect(bytes_at(a.next), mapped, PROT_READ | PROT_WRITE) != 0) return OUT_OF_MEMORY;
  *address = a.next + mapped - whole;
  memset(bytes_at(a.next), GUARD, mapped - whole);
  memset(bytes_at(*address), FRESH, bytes);
  memset(bytes_at(*address + bytes), GUARD, whole - bytes);
  a.allocations[*address] = {bytes, a.next, mapped};
  a.next += mapped + PAGE;
  a.used += whole;
  return SUCCESS;
}

Code release(Address address) {
  Arena &a = arena();
  auto found = a.allocations.find(address);
  if (found == a.allocations.end()) {
    complain("freed 0x%lx, where no allocation begins", address);
    return INVALID_VALUE;
  }
  const Allocation of = found->second;
  const bool guarded = is_guarded(address, of);
  if (!guarded) complain("somebody wrote just outside of the %zu bytes at 0x%lx", of.bytes, address);
  a.allocations.erase(found);
  a.used -= up(of.bytes, ALIGNMENT);
  madvise(bytes_at(of.pages), of.mapped, MADV_DONTNEED);
  mprotect(bytes_at(of.pages), of.mapped, PROT_NONE);
  return guarded ? SUCCESS : ILLEGAL_ADDRESS;
}

bool is_allocation(Address address) { return arena().allocations.count(address) == 1; }

bool is_pinned(const void *host, size_t bytes) {
  const Address address = reinterpret_cast<Address>(host);
  auto after = arena().pinned.upper_bound(address);
  if (after == arena().pinned.begin()) return false;
  --after;
  return bytes <= after->second && address - after->first <= after->second - bytes;
}

bool is_reachable(Address address, size_t bytes) {
  if (!is_of_the_card(address)) return is_pinned(bytes_at(address), bytes);
  const auto *found = allocation_before(address);
  if (!found) return false;
  const size_t size = found->second.bytes;
  return bytes <= size && address - found->first <= size - bytes;
}

bool is_of_the_card(Address address) { return address >= arena().base && address < arena().end; }

void describe(Address address) {
  const auto *found = is_of_the_card(address) ? allocation_before(address) : nullptr;
  if (!found) {
    complain("0x%lx is not in memory of the card", address);
  } else {
    complain("0x%lx is %lu bytes into what follows the start of an allocation of %zu bytes", address,
             address - found->first, found->second.bytes);
  }
}

Code allocate_pinned(size_t bytes, void **host) {
  if (bytes == 0) return INVALID_VALUE;
  *host = aligned_alloc(PAGE, up(bytes, PAGE));
  if (!*host) return OUT_OF_MEMORY;
  memset(*host, FRESH, bytes);
  arena().pinned[reinterpret_cast<Address>(*host)] = bytes;
  return SUCCESS;
}

Code release_pinned(void *host) {
  if (arena().pinned.erase(reinterpret_cast<Address>(host)) == 0) return INVALID_VALUE;
  free(host);
  return SUCCESS;
}

Code check_guards() {
  for (const auto &[address, of] : arena().allocations) {
    if (is_guarded(address, of)) continue;
    complain("somebody wrote just outside of the %zu bytes at 0x%lx", of.bytes, address);
    return ILLEGAL_ADDRESS;
  }
  return SUCCESS;
}

size_t free_bytes() { return arena().total - arena().used; }
size_t total_bytes() { return arena().total; }

}  // namespace emulator
