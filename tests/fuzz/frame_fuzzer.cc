// Any bytes in any chunks through FrameBuffer; what is a frame is decoded as every message it could
// be, and what decodes is encoded again and must mean the same. The first byte chooses the chunks.
#include <algorithm>
#include <optional>

#include "tests/fuzz/demand.h"
#include "tests/support/every_message.h"

namespace hsm::wire {
namespace {

using fuzz::demand;

std::optional<ByteView> field_of(const FrameView& frame, std::uint16_t tag) {
  FieldCursor cursor{frame.fields()};
  for (auto field = cursor.peek(); field; field = cursor.peek()) {
    if (field->tag == tag) return field->bytes;
    cursor.advance();
  }
  return std::nullopt;
}

// A value has one spelling. Lists aside: a record in one may hold fields that are skipped.
template <class Message>
void has_the_same_bytes(const FrameView& frame, const FrameView& again) {
  for (const FieldRule& rule : Schema::of<Message>()) {
    const auto written = field_of(again, rule.tag);
    if (!written || rule.kind == Kind::list) continue;
    const auto came = field_of(frame, rule.tag);
    demand(came && std::equal(came->begin(), came->end(), written->begin(), written->end()),
           "a value has one spelling");
  }
}

template <class Message>
void decode_and_encode_again(const FrameView& frame) {
  const auto message = decode<Message>(frame);
  if (!message) {
    demand(message.error().code == Code::protocol_error, "a message is broken by its peer");
    return;
  }
  Bytes again;
  // Smaller or equal: encoders leave defaults and skipped fields out, and add nothing.
  demand(encode(again, frame.type(), frame.id(), *message).has_value(),
         "what decodes can be encoded");
  demand(again.size() <= kLengthSize + kHeaderSize + frame.fields().size(),
         "an encoder adds nothing");
  const auto view = FrameView::parse(ByteView{again}.subspan(kLengthSize));
  demand(view.has_value() && view->type() == frame.type() && view->id() == frame.id(),
         "what is encoded is a frame of this type and id");
  has_the_same_bytes<Message>(frame, *view);
  const auto back = decode<Message>(*view);
  demand(back.has_value() && Dump::of(*back) == Dump::of(*message),
         "what is encoded means the same");
}

void decode_as_everything(const FrameView& frame) {
  for_each_message([&]<class Message>(Type type, const std::string&) {
    if (frame.type() == type) decode_and_encode_again<Message>(frame);
  });
  // A reader that takes one message for another must survive it too.
  decode_and_encode_again<VersionList>(frame);
  decode_and_encode_again<Explanation>(frame);
}

// docs/protocol.md, "Frames", field by field; no message needs to know them for this to hold.
void has_ascending_tags(const FrameView& frame) {
  FieldCursor cursor{frame.fields()};
  int last_tag = -1;
  std::size_t size = 0;
  for (auto field = cursor.peek(); field; field = cursor.peek()) {
    demand(field->tag > last_tag, "tags ascend");
    last_tag = field->tag;
    size += kFieldHeaderSize + field->bytes.size();
    cursor.advance();
  }
  demand(size == frame.fields().size(), "fields fill the frame");
}

// The ids of the frames up to the first refusal; -1 marks the refusal.
std::vector<std::int64_t> read_all(ByteView stream, std::size_t chunk) {
  FrameBuffer buffer;
  std::vector<std::int64_t> seen;
  while (!stream.empty()) {
    const auto room = buffer.prepare();
    demand(!room.empty(), "there is room while there is no refusal");
    const std::size_t size = std::min({chunk, room.size(), stream.size()});
    std::copy_n(stream.begin(), size, room.begin());
    buffer.commit(size);
    stream = stream.subspan(size);
    for (;;) {
      const auto next = buffer.next();
      if (!next) {
        demand(next.error().code == Code::protocol_error, "a frame is broken by its peer");
        seen.push_back(-1);
        return seen;
      }
      if (!*next) break;
      seen.push_back(static_cast<std::int64_t>((*next)->id() >> 1));
      has_ascending_tags(**next);
      decode_as_everything(**next);
    }
  }
  return seen;
}

}  // namespace
}  // namespace hsm::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const hsm::ByteView stream{data + 1, size - 1};
  const auto in_chunks = hsm::wire::read_all(stream, 1u + data[0]);
  hsm::fuzz::demand(in_chunks == hsm::wire::read_all(stream, stream.size() + 1),
                    "chunks do not matter");
  return 0;
}
