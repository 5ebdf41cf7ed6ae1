package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// asynq keeps its message types to itself, but importing asynq registers them
// by name, so its own code can encode and decode them.

// namedMessage is a message as protobuf JSON beside its bytes. Encoding reads
// Fields, decoding reads Hex.
type namedMessage struct {
	Name    string          `json:"name,omitempty"`
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields,omitempty"`
	Hex     string          `json:"hex,omitempty"`
	Error   string          `json:"error,omitempty"`
}

func (m namedMessage) encode() (string, error) {
	message, err := newMessage(m.Message)
	if err != nil {
		return "", err
	}
	if err := protojson.Unmarshal(m.Fields, message); err != nil {
		return "", err
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	return hex.EncodeToString(data), err
}

func (m namedMessage) decode() (json.RawMessage, error) {
	message, err := newMessage(m.Message)
	if err != nil {
		return nil, err
	}
	data, err := hex.DecodeString(m.Hex)
	if err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(data, message); err != nil {
		return nil, err
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
}

func newMessage(name string) (proto.Message, error) {
	found, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("asynq." + name))
	if err != nil {
		return nil, err
	}
	return found.New().Interface(), nil
}

// encode answers each line {"message", "fields"} on stdin with its hex.
func encode(args []string) error {
	newCommand("encode").Parse(args)
	return eachMessage(func(m *namedMessage) (err error) {
		m.Hex, err = m.encode()
		return err
	})
}

// decode answers each line {"message", "hex"} on stdin with its fields.
func decode(args []string) error {
	newCommand("decode").Parse(args)
	return eachMessage(func(m *namedMessage) (err error) {
		m.Fields, err = m.decode()
		return err
	})
}

// eachMessage answers every line of stdin, a failure with its error.
func eachMessage(answer func(*namedMessage) error) error {
	lines := json.NewDecoder(bufio.NewReader(os.Stdin))
	for lines.More() {
		var message namedMessage
		if err := lines.Decode(&message); err != nil {
			return err
		}
		if err := answer(&message); err != nil {
			message.Error = err.Error()
		}
		if err := emit(message); err != nil {
			return err
		}
	}
	return nil
}
