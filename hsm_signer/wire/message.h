// Messages as plain structs. A message says its fields once, in ascending tag order:
//
//   struct Ping {
//     static constexpr Type kType = Type::ping;
//     Bytes echo;
//     template <class Self, class Visit>
//     static void fields(Self& self, Visit&& visit) { visit.optional(1, self.echo); }
//   };
//
// and encode() and decode() both follow that one list, so they cannot disagree. An optional field
// is left out when it holds its default. Lists of structs are one field: for each, u32 length · u16
// count · fields.
#pragma once

#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include "hsm_signer/wire/frame.h"
#include "hsm_signer/wire/little_endian.h"

namespace hsm::wire {

namespace detail {

template <class T>
void put_value(FrameWriter& writer, std::uint16_t tag, const T& value);
template <class T>
bool take_value(ByteView bytes, T& value);

class Encoder {
 public:
  explicit Encoder(FrameWriter& writer) : writer_{writer} {}
  template <class T>
  void required(std::uint16_t tag, const T& value) {
    put_value(writer_, tag, value);
  }
  template <class T>
  void optional(std::uint16_t tag, const T& value) {
    if (!(value == T{})) put_value(writer_, tag, value);
  }

 private:
  FrameWriter& writer_;
};

class Decoder {
 public:
  explicit Decoder(ByteView fields) : cursor_{fields} {}
  template <class T>
  void required(std::uint16_t tag, T& value) {
    if (!take(tag, value)) refuse("missing field", tag);
  }
  template <class T>
  void optional(std::uint16_t tag, T& value) {
    take(tag, value);
  }
  // Nothing may be left but what is marked as skippable.
  Result<void> finish();

 private:
  template <class T>
  bool take(std::uint16_t tag, T& value) {
    const auto field = cursor_.peek();
    // A smaller tag that nobody asked for stays in the way, and finish() refuses it.
    if (error_.has_value() || !field || field->tag != tag) return error_.has_value();
    if (!take_value(field->bytes, value)) refuse("malformed field", tag);
    cursor_.advance();
    return true;
  }
  void refuse(std::string_view what, std::uint16_t tag);

  FieldCursor cursor_;
  std::optional<Error> error_;
};

// A struct inside a field, for lists.
template <class T>
concept Record = requires(T& t, Encoder& e) {
  T::fields(t, e);
};

// A record: u32 length of what follows · u16 field count · fields.
template <Record T>
void append_record(Bytes& out, const T& record) {
  Bytes apart;
  FrameWriter writer{apart, Type{}, 0};
  Encoder encoder{writer};
  T::fields(record, encoder);
  const ByteView fields = ByteView{apart}.subspan(kLengthSize + kHeaderSize);
  std::array<Byte, 6> head;
  store(std::span<Byte>{head}, static_cast<std::uint32_t>(2 + fields.size()));
  store(std::span<Byte>{head}.subspan(4), writer.count());
  out.insert(out.end(), head.begin(), head.end());
  out.insert(out.end(), fields.begin(), fields.end());
}

template <Record T>
bool take_record(ByteView& rest, T& record) {
  if (rest.size() < 6) return false;
  const std::size_t size = load<std::uint32_t>(rest);
  if (size < 2 || size > rest.size() - 4) return false;
  const ByteView fields = rest.subspan(6, size - 2);
  if (!check_fields(fields, load<std::uint16_t>(rest.subspan(4, 2)))) return false;
  rest = rest.subspan(4 + size);
  Decoder decoder{fields};
  T::fields(record, decoder);
  return decoder.finish().has_value();
}

template <class T>
inline constexpr bool kIsArray = false;
template <std::size_t N>
inline constexpr bool kIsArray<std::array<Byte, N>> = true;

template <class T>
void put_value(FrameWriter& writer, std::uint16_t tag, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    writer.put(tag, as_bytes(value));
  } else if constexpr (std::is_same_v<T, Bytes> || kIsArray<T>) {
    writer.put(tag, value);
  } else if constexpr (std::is_same_v<T, bool>) {
    writer.put_space(tag, 1)[0] = value ? 1 : 0;
  } else if constexpr (std::is_unsigned_v<T>) {
    store(writer.put_space(tag, sizeof(T)), value);
  } else {
    Bytes list;
    for (const auto& record : value) append_record(list, record);
    writer.put(tag, list);
  }
}

template <class T>
bool take_value(ByteView bytes, T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    value = as_text(bytes);
    return true;
  } else if constexpr (std::is_same_v<T, Bytes>) {
    value.assign(bytes.begin(), bytes.end());
    return true;
  } else if constexpr (kIsArray<T>) {
    if (bytes.size() != value.size()) return false;
    std::copy(bytes.begin(), bytes.end(), value.begin());
    return true;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (bytes.size() != 1 || bytes[0] > 1) return false;
    value = bytes[0] == 1;
    return true;
  } else if constexpr (std::is_unsigned_v<T>) {
    if (bytes.size() != sizeof(T)) return false;
    value = load<T>(bytes);
    return true;
  } else {
    while (!bytes.empty()) {
      value.emplace_back();
      if (!take_record(bytes, value.back())) return false;
    }
    return true;
  }
}

}  // namespace detail

// Appends `message` as one frame of type `type`; too_large leaves `out` as it was.
template <class Message>
Result<void> encode(Bytes& out, Type type, std::uint64_t id, const Message& message) {
  FrameWriter writer{out, type, id};
  detail::Encoder encoder{writer};
  Message::fields(message, encoder);
  return writer.finish();
}
template <class Message>
Result<void> encode(Bytes& out, std::uint64_t id, const Message& message) {
  return encode(out, Message::kType, id, message);
}

// The message in a frame whose type the caller has looked at.
template <class Message>
Result<Message> decode(const FrameView& frame) {
  Message message;
  detail::Decoder decoder{frame.fields()};
  Message::fields(message, decoder);
  TRY_VOID(decoder.finish());
  return message;
}

}  // namespace hsm::wire
