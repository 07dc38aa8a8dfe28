// Every message of every socket, and what tests do with all of them alike: dump, list the fields,
// fill in. The golden frames, the round trips and the frame fuzzer follow this one list.
#pragma once

#include <string>
#include <vector>

#include "hsm_signer/wire/admin.h"
#include "hsm_signer/wire/client.h"
#include "hsm_signer/wire/policy.h"
#include "hsm_signer/wire/switches.h"
#include "hsm_signer/wire/token.h"

namespace hsm::wire {

// Calls visit.operator()<Message>(type, name) for each type byte that may stand on a wire.
template <class Visit>
void for_each_client_message(Visit&& visit) {
  const auto both = [&]<class Request, class Answer>(Type type, const std::string& name) {
    visit.template operator()<Request>(type, name);
    visit.template operator()<Answer>(answer_to(type), name + " answer");
  };
  both.template operator()<Hello, Hello>(Type::hello, "hello");
  both.template operator()<Ping, Ping>(Type::ping, "ping");
  both.template operator()<SignRequest, Signed>(Type::sign_request, "sign_request");
  both.template operator()<SignRequest, Signed>(Type::sign_verbatim, "sign_verbatim");
  both.template operator()<ListKeys, KeyList>(Type::list_keys, "list_keys");
  both.template operator()<WhoAmI, Identity>(Type::whoami, "whoami");
  both.template operator()<Explain, Explanation>(Type::explain, "explain");
  both.template operator()<GateEnter, GatePlace>(Type::gate_enter, "gate_enter");
  both.template operator()<GateLeave, Done>(Type::gate_leave, "gate_leave");
  both.template operator()<PushSkew, Done>(Type::push_skew, "push_skew");
  both.template operator()<PushReference, Done>(Type::push_reference, "push_reference");
  visit.template operator()<Failure>(Type::error, "error");
}

template <class Visit>
void for_each_message(Visit&& visit) {
  const auto both = [&]<class Request, class Answer>(Type type, const std::string& name) {
    visit.template operator()<Request>(type, name);
    visit.template operator()<Answer>(answer_to(type), name + " answer");
  };
  for_each_client_message(visit);
  both.template operator()<RegisterKey, Registered>(Type::register_key, "register_key");
  both.template operator()<KeyVersionRef, Done>(Type::activate_key, "activate_key");
  both.template operator()<KeyVersionRef, Done>(Type::forget_key, "forget_key");
  both.template operator()<ListVersions, VersionList>(Type::list_versions, "list_versions");
  both.template operator()<StatusQuery, Status>(Type::status, "status");
  both.template operator()<Drain, Done>(Type::drain, "drain");
  both.template operator()<CheckKeys, VersionList>(Type::check_keys, "check_keys");
  both.template operator()<KeyVersionRef, Done>(Type::destroyed_key, "destroyed_key");
  both.template operator()<SetSwitch, Done>(Type::set_switch, "set_switch");
  both.template operator()<Thaw, Done>(Type::thaw, "thaw");
  both.template operator()<SetLease, LeaseSet>(Type::lease, "lease");
  both.template operator()<ListSwitches, SwitchList>(Type::list_switches, "list_switches");
  both.template operator()<Panic, Panicked>(Type::panic, "panic");
  both.template operator()<ReloadPolicy, PolicyInForce>(Type::reload_policy, "reload_policy");
  both.template operator()<RaiseAlarm, Done>(Type::raise_alarm, "raise_alarm");
  both.template operator()<LetGo, LetGone>(Type::let_go, "let_go");
  both.template operator()<ListApprovals, ApprovalList>(Type::list_approvals, "list_approvals");
  both.template operator()<SubmitApproval, ApprovalItem>(Type::submit_approval, "submit_approval");
  both.template operator()<RejectApproval, Done>(Type::reject_approval, "reject_approval");
  both.template operator()<InfoQuery, Info>(Type::info, "info");
  both.template operator()<MacRequest, MacAnswer>(Type::mac, "mac");
  both.template operator()<ListObjects, ObjectList>(Type::list, "list");
  both.template operator()<ObjectRef, KeyCheckAnswer>(Type::key_check, "key_check");
  both.template operator()<ObjectRef, Done>(Type::forget, "forget");
  both.template operator()<SignCheckpoint, CheckpointSignature>(Type::sign_checkpoint,
                                                                "sign_checkpoint");
  both.template operator()<UsageQuery, Usage>(Type::usage, "usage");
  both.template operator()<Import, Imported>(Type::import, "import");
  both.template operator()<ObjectRef, Done>(Type::destroy, "destroy");
  both.template operator()<Generate, Done>(Type::generate, "generate");
  both.template operator()<WrapKeyQuery, PublicKeyAnswer>(Type::wrap_key, "wrap_key");
}

enum class Kind { text, bytes, fixed, boolean, integer, list };

template <class T>
constexpr Kind kind_of() {
  if constexpr (std::is_same_v<T, std::string>)
    return Kind::text;
  else if constexpr (std::is_same_v<T, Bytes>)
    return Kind::bytes;
  else if constexpr (detail::kIsArray<T>)
    return Kind::fixed;
  else if constexpr (std::is_same_v<T, bool>)
    return Kind::boolean;
  else if constexpr (std::is_unsigned_v<T>)
    return Kind::integer;
  else
    return Kind::list;
}

struct FieldRule {
  std::uint16_t tag;
  bool required;
  Kind kind;
  std::size_t size;  // Of fixed, boolean and integer.
};

// The fields that a message declares, in order.
class Schema {
 public:
  template <class T>
  void required(std::uint16_t tag, const T&) {
    rules_.push_back({tag, true, kind_of<T>(), sizeof(T)});
  }
  template <class T>
  void optional(std::uint16_t tag, const T&) {
    rules_.push_back({tag, false, kind_of<T>(), sizeof(T)});
  }
  template <class Message>
  static std::vector<FieldRule> of() {
    const Message message;
    Schema schema;
    Message::fields(message, schema);
    return schema.rules_;
  }

 private:
  std::vector<FieldRule> rules_;
};

// A message as text, "1=desk-a.trade 2=…": two messages mean the same when their dumps are equal.
// Written without the encoder, so that it can judge it.
class Dump {
 public:
  template <class T>
  void required(std::uint16_t tag, const T& value) {
    text_ += std::to_string(tag) + '=' + show(value) + ' ';
  }
  template <class T>
  void optional(std::uint16_t tag, const T& value) {
    required(tag, value);
  }
  template <class Message>
  static std::string of(const Message& message) {
    Dump dump;
    Message::fields(message, dump);
    return dump.text_;
  }

 private:
  template <class T>
  static std::string show(const T& value) {
    if constexpr (kind_of<T>() == Kind::text)
      return hex_encode(as_bytes(value));
    else if constexpr (kind_of<T>() == Kind::bytes || kind_of<T>() == Kind::fixed)
      return hex_encode(value);
    else if constexpr (kind_of<T>() == Kind::list) {
      std::string all = "[";
      for (const auto& record : value) all += '{' + of(record) + '}';
      return all + ']';
    } else {
      return std::to_string(value);
    }
  }

  std::string text_;
};

// Gives each field a value that is not its default and that no other field has.
class Fill {
 public:
  explicit Fill(bool optional_too) : optional_too_{optional_too} {}
  template <class T>
  void required(std::uint16_t tag, T& value) {
    ++seed_;
    if constexpr (kind_of<T>() == Kind::text)
      value = "text " + std::to_string(tag * 1000 + seed_);
    else if constexpr (kind_of<T>() == Kind::bytes)
      value.assign(3, static_cast<Byte>(seed_));
    else if constexpr (kind_of<T>() == Kind::fixed)
      value.fill(static_cast<Byte>(seed_));
    else if constexpr (kind_of<T>() == Kind::boolean)
      value = true;
    else if constexpr (kind_of<T>() == Kind::integer)
      value = static_cast<T>(0x0807060504030201u + seed_);
    else
      fill_list(value);
  }
  template <class T>
  void optional(std::uint16_t tag, T& value) {
    if (optional_too_) required(tag, value);
  }
  template <class Message>
  static Message of(bool optional_too) {
    Message message;
    Fill fill{optional_too};
    Message::fields(message, fill);
    return message;
  }

 private:
  template <class T>
  void fill_list(std::vector<T>& list) {
    list.resize(2);
    for (T& record : list) T::fields(record, *this);
  }

  bool optional_too_;
  unsigned seed_ = 0;
};

}  // namespace hsm::wire
