// A doubly linked list through the elements of a vector, by index: no allocation, and taking one
// out of the middle costs nothing. An element needs a member `Link link` and stands in at most one
// list.
#pragma once

#include <cstdint>

namespace hsm::keystore {

inline constexpr std::uint32_t kNil = 0xFFFF'FFFF;

struct Link {
  std::uint32_t prev = kNil;
  std::uint32_t next = kNil;
};

class IndexList {
 public:
  bool empty() const { return head_ == kNil; }
  std::uint32_t front() const { return head_; }
  std::uint32_t back() const { return tail_; }

  template <class Vector>
  void push_back(Vector& elements, std::uint32_t index) {
    elements[index].link = {tail_, kNil};
    (tail_ == kNil ? head_ : elements[tail_].link.next) = index;
    tail_ = index;
  }
  // In front of `behind`; at the end where that is kNil.
  template <class Vector>
  void insert(Vector& elements, std::uint32_t index, std::uint32_t behind) {
    if (behind == kNil) return push_back(elements, index);
    const std::uint32_t prev = elements[behind].link.prev;
    elements[index].link = {prev, behind};
    (prev == kNil ? head_ : elements[prev].link.next) = index;
    elements[behind].link.prev = index;
  }
  template <class Vector>
  void erase(Vector& elements, std::uint32_t index) {
    const Link link = elements[index].link;
    (link.prev == kNil ? head_ : elements[link.prev].link.next) = link.next;
    (link.next == kNil ? tail_ : elements[link.next].link.prev) = link.prev;
    elements[index].link = {};
  }
  template <class Vector>
  void rotate(Vector& elements) {
    const std::uint32_t first = head_;
    erase(elements, first);
    push_back(elements, first);
  }

 private:
  std::uint32_t head_ = kNil;
  std::uint32_t tail_ = kNil;
};

}  // namespace hsm::keystore
