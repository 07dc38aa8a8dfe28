#include "tests/unit/wire/any_message.h"

#include <cstdlib>

namespace hsm::wire {
namespace {

template <class Message>
Bytes frame_of(Type type, const Message& message) {
  Bytes frame;
  if (!encode(frame, type, kAnyId, message)) std::abort();  // None of these is near the limit.
  return frame;
}

template <class Message>
Result<std::string> read(const FrameView& frame) {
  TRY(const Message message, decode<Message>(frame));
  return Dump::of(message);
}

std::vector<AnyMessage> make() {
  std::vector<AnyMessage> all;
  for_each_message([&]<class Message>(Type type, const std::string& name) {
    const auto required_only = Fill::of<Message>(false);
    const auto whole = Fill::of<Message>(true);
    all.push_back({.type = type,
                   .name = name,
                   .rules = Schema::of<Message>(),
                   .required_only = frame_of(type, required_only),
                   .whole = frame_of(type, whole),
                   .defaults = frame_of(type, Message{}),
                   .required_only_dump = Dump::of(required_only),
                   .whole_dump = Dump::of(whole),
                   .read = &read<Message>});
  });
  return all;
}

}  // namespace

const std::vector<AnyMessage>& every_message() {
  static const std::vector<AnyMessage> all = make();
  return all;
}

}  // namespace hsm::wire
