// Every message of every socket: it comes back as it was sent, and each way to damage a field is
// refused.
#include <map>

#include "hsm_signer/wire/little_endian.h"
#include "tests/support/error_is.h"
#include "tests/unit/wire/any_message.h"

namespace hsm::wire {
namespace {

using ::testing::HasSubstr;

using Fields = std::map<std::uint16_t, Bytes>;

template <class Message>
Bytes encoded(const Message& message) {
  Bytes out;
  EXPECT_THAT(encode(out, Type::ping, 9, message), Succeeds());
  return out;
}

Fields fields_of(ByteView frame) {
  const auto view = FrameView::parse(frame.subspan(kLengthSize));
  EXPECT_THAT(view, Succeeds());
  Fields fields;
  FieldCursor cursor{view->fields()};
  for (; const auto field = cursor.peek(); cursor.advance())
    fields[field->tag] = Bytes{field->bytes.begin(), field->bytes.end()};
  return fields;
}

// A frame of just these fields, as some message would read it.
template <class Decode>
auto with_fields(const Fields& fields, Decode&& decode)
    -> decltype(decode(std::declval<FrameView>())) {
  Bytes out;
  FrameWriter writer{out, Type::ping, 1};
  for (const auto& [tag, bytes] : fields) writer.put(tag, bytes);
  TRY_VOID(writer.finish());
  TRY(const FrameView view, FrameView::parse(ByteView{out}.subspan(kLengthSize)));
  return decode(view);
}

template <class Message>
Result<Message> decode_fields(const Fields& fields) {
  return with_fields(fields, [](const FrameView& view) { return decode<Message>(view); });
}

void expect_back(const AnyMessage& message, const Bytes& frame, const std::string& dump) {
  const auto view = FrameView::parse(ByteView{frame}.subspan(kLengthSize));
  ASSERT_THAT(view, Succeeds());
  EXPECT_EQ(view->type(), message.type);
  EXPECT_EQ(view->id(), kAnyId);
  const auto back = message.read(*view);
  ASSERT_THAT(back, Succeeds());
  EXPECT_EQ(*back, dump);
}

TEST(Message, EachComesBackAsItWasSent) {
  EXPECT_EQ(every_message().size(), 83u);
  for (const AnyMessage& message : every_message()) {
    SCOPED_TRACE(message.name);
    expect_back(message, message.required_only, message.required_only_dump);
    expect_back(message, message.whole, message.whole_dump);
  }
}

TEST(Message, TypesAreDistinctAndAnswersHaveBit7) {
  std::map<Type, std::string> names;
  for (const AnyMessage& message : every_message()) {
    const auto [at, fresh] = names.emplace(message.type, message.name);
    EXPECT_TRUE(fresh) << message.name << " and " << at->second;
    EXPECT_EQ(static_cast<int>(message.type) >= 0x80,
              message.type == Type::error || message.name.ends_with(" answer"))
        << message.name;
  }
}

TEST(Message, TagsAscendFromOne) {
  for (const AnyMessage& message : every_message()) {
    std::uint16_t expected = 1;
    for (const FieldRule& rule : message.rules) EXPECT_EQ(rule.tag, expected++) << message.name;
  }
}

TEST(Message, EachMissingRequiredFieldIsRefused) {
  for (const AnyMessage& message : every_message()) {
    for (const FieldRule& rule : message.rules) {
      SCOPED_TRACE(message.name + ", tag " + std::to_string(rule.tag));
      Fields fields = fields_of(message.whole);
      fields.erase(rule.tag);
      const auto back = with_fields(fields, message.read);
      if (rule.required) {
        EXPECT_THAT(
            back, ErrorIs(Code::protocol_error, "missing field: tag " + std::to_string(rule.tag)));
      } else {
        EXPECT_THAT(back, Succeeds());
      }
    }
  }
}

void expect_malformed(const AnyMessage& message, const FieldRule& rule, std::size_t size) {
  Fields fields = fields_of(message.whole);
  fields[rule.tag].assign(size, 1);
  EXPECT_THAT(with_fields(fields, message.read),
              ErrorIs(Code::protocol_error, "malformed field: tag " + std::to_string(rule.tag)))
      << message.name << " with " << size << " bytes";
}

TEST(Message, IntegersAndFixedBytesOfAnotherSizeAreRefused) {
  for (const AnyMessage& message : every_message()) {
    for (const FieldRule& rule : message.rules) {
      if (rule.kind != Kind::integer && rule.kind != Kind::fixed && rule.kind != Kind::boolean)
        continue;
      for (const std::size_t size : {std::size_t{0}, rule.size - 1, rule.size + 1, 2 * rule.size})
        expect_malformed(message, rule, size);
    }
  }
}

TEST(Message, EachRefusesAnUnknownFieldAndSkipsAMarkedOne) {
  for (const AnyMessage& message : every_message()) {
    Fields fields = fields_of(message.whole);
    fields[0x8abc] = {1, 2, 3};
    EXPECT_THAT(with_fields(fields, message.read), Succeeds()) << message.name;
    // Tag 0 stands before the known ones, so what the decoder misses first is the field behind it.
    for (const std::uint16_t tag : {std::uint16_t{0}, std::uint16_t{200}, std::uint16_t{0x7fff}}) {
      Fields unknown = fields;
      unknown[tag] = {};
      EXPECT_THAT(with_fields(unknown, message.read), ErrorIs(Code::protocol_error))
          << message.name << ", tag " << tag;
    }
  }
}

TEST(Message, OptionalFieldsWithTheirDefaultAreLeftOut) {
  for (const AnyMessage& message : every_message()) {
    const Fields fields = fields_of(message.defaults);
    for (const FieldRule& rule : message.rules)
      EXPECT_EQ(fields.contains(rule.tag), rule.required) << message.name << ", tag " << rule.tag;
  }
}

TEST(Message, AnOptionalFieldMayBePresentWithItsDefault) {
  const auto back = decode_fields<ListKeys>({{1, Bytes(4)}, {2, Bytes(4)}});
  ASSERT_THAT(back, Succeeds());
  EXPECT_EQ(back->limit, 0u);
}

TEST(Message, BooleanIsZeroOrOne) {
  Fields fields = fields_of(encoded(Fill::of<Explanation>(false)));
  for (int value = 0; value < 256; ++value) {
    fields[1] = {static_cast<Byte>(value)};
    const auto back = decode_fields<Explanation>(fields);
    if (value > 1) {
      EXPECT_THAT(back, ErrorIs(Code::protocol_error, "malformed field: tag 1")) << value;
    } else {
      ASSERT_THAT(back, Succeeds());
      EXPECT_EQ(back->allowed, value == 1);
    }
  }
}

TEST(Message, TooLargeForAFrameIsRefusedAndWritesNothing) {
  SignRequest request{
      .key = "k", .payload = std::string(kFrameLimit, 'x'), .deadline_ms = 0, .reference = {}};
  Bytes out{1, 2, 3};
  EXPECT_THAT(encode(out, 1, request), ErrorIs(Code::too_large));
  EXPECT_EQ(out, (Bytes{1, 2, 3}));
}

TEST(Message, FailureCarriesEachCodeThereAndBack) {
  for (int i = 1; i <= static_cast<int>(Code::verification_failed); ++i) {
    const Error error{.code = static_cast<Code>(i),
                      .what = "what",
                      .detail = "detail",
                      .ck_rv = 0xa0,
                      .retry_after_ms = 250,
                      .approval = "a-1"};
    const Error back = to_error(to_failure(error));
    EXPECT_EQ(back.code, error.code);
    EXPECT_EQ(back.sentence(), "what: detail");
    EXPECT_EQ(back.retry_after_ms, 250u);
    EXPECT_EQ(back.ck_rv, 0xa0u);
    EXPECT_EQ(back.approval, "a-1");
  }
}

TEST(Message, AnUnknownErrorCodeIsInternal) {
  EXPECT_EQ(to_error({.code = "no_such_code",
                      .sentence = "s",
                      .retry_after_ms = 0,
                      .ck_rv = 0,
                      .approval = {}})
                .code,
            Code::internal);
}

// ---- Lists ----

// Two ObjectItems: label "ab" id 1, label "c" id 2.
Bytes two_items() {
  const ObjectList list{.total = 2,
                        .objects = {{.label = "ab", .cka_id = 1}, {.label = "c", .cka_id = 2}}};
  return fields_of(encoded(list)).at(2);
}

Result<ObjectList> decode_list(const Bytes& list) {
  return decode_fields<ObjectList>({{1, {2, 0, 0, 0}}, {2, list}});
}

TEST(List, HasTheDocumentedBytes) {
  EXPECT_EQ(hex_encode(two_items()),
            "12000000"
            "0200"
            "0100"
            "02000000"
            "6162"
            "0200"
            "02000000"
            "0100"
            "11000000"
            "0200"
            "0100"
            "01000000"
            "63"
            "0200"
            "02000000"
            "0200");
}

TEST(List, MayBeEmptyButPresent) {
  const auto back = decode_list({});
  ASSERT_THAT(back, Succeeds());
  EXPECT_TRUE(back->objects.empty());
}

TEST(List, EveryTruncationInsideARecordIsRefused) {
  const Bytes whole = two_items();
  const std::size_t first = 4 + 0x12;
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const auto back =
        decode_list(Bytes{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    if (size == first) {
      EXPECT_THAT(back, Succeeds());  // A shorter list, well formed.
    } else {
      EXPECT_THAT(back, ErrorIs(Code::protocol_error, "malformed field: tag 2")) << size;
    }
  }
}

struct Damage {
  const char* what;
  std::size_t at;
  Byte value;
};

TEST(List, DamagedRecordsAreRefused) {
  const Damage damages[] = {
      {"record length 0", 0, 0},
      {"record length 1", 0, 1},
      {"record shorter than its fields", 0, 0x11},
      {"record reaches into the next", 0, 0x13},
      {"record length of 4 GiB", 3, 0xff},
      {"count too small", 4, 1},
      {"count too big", 4, 3},
      {"no fields counted", 4, 0},
      {"tag unknown", 6, 0},
      {"required field missing, unknown tag there", 14, 3},
      {"tags repeat", 14, 1},
      {"field past the record", 8, 0xff},
      {"integer of one byte", 16, 1},
      {"last record too long", 22, 0x12},
  };
  ASSERT_THAT(decode_list(two_items()), Succeeds());
  for (const Damage& damage : damages) {
    Bytes list = two_items();
    list.at(damage.at) = damage.value;
    EXPECT_THAT(decode_list(list), ErrorIs(Code::protocol_error, "malformed field: tag 2"))
        << damage.what;
  }
}

TEST(List, ARecordSkipsAMarkedFieldAndRefusesAnother) {
  const Bytes marked = *hex_decode(
      "18000000"
      "0300"
      "0100"
      "02000000"
      "6162"
      "0200"
      "02000000"
      "0100"
      "0080"
      "00000000");
  const auto back = decode_list(marked);
  ASSERT_THAT(back, Succeeds());
  EXPECT_EQ(back->objects.at(0).label, "ab");
  Bytes unmarked = marked;
  unmarked.at(23) = 0;  // 0x8000 becomes 0x0000, which also descends.
  EXPECT_THAT(decode_list(unmarked), ErrorIs(Code::protocol_error));
  unmarked.at(22) = 3;
  EXPECT_THAT(decode_list(unmarked), ErrorIs(Code::protocol_error));
}

}  // namespace
}  // namespace hsm::wire
