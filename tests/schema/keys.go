//go:build ignore

// What livekit.yaml of one release knows, told by that release's own configuration type. derive.py puts this file into
// a copy of the release's source and runs it there:
//
//	go run keys.go        prints a line "path TAB kind" for every key
//	go run keys.go try    reads a JSON array of documents, prints a JSON array of what the release's own strict
//	                      reader says of each; an empty text is a yes
//
// It follows the rules of gopkg.in/yaml.v3, which reads the file, and ends with status 1 at a type that it does not
// know, rather than guess a kind.
package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	"github.com/livekit/livekit-server/pkg/config"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	messageType  = reflect.TypeFor[proto.Message]()
	readerType   = reflect.TypeFor[yaml.Unmarshaler]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()

	// Types that read their own node, so that their fields say nothing of the file.
	ownReaders = map[string]string{
		"rtcconfig.PortRange": "port range",
		"rtcconfig.NodeIP":    "text",
	}
)

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == "try" {
		err = try()
	} else {
		err = table("", reflect.TypeFor[config.Config]())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func try() error {
	var documents []string
	if err := json.NewDecoder(os.Stdin).Decode(&documents); err != nil {
		return err
	}
	answers := make([]string, len(documents))
	for i, document := range documents {
		if _, err := config.NewConfig(document, true, nil, nil); err != nil {
			answers[i] = err.Error()
		}
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

// table prints the keys of a struct, each with the prefix that leads there.
func table(prefix string, t reflect.Type) error {
	for i := range t.NumField() {
		field := t.Field(i)
		if field.PkgPath != "" && !field.Anonymous {
			continue // not exported: yaml.v3 leaves it alone
		}
		tag := field.Tag.Get("yaml")
		if tag == "" && !strings.Contains(string(field.Tag), ":") {
			tag = string(field.Tag)
		}
		if tag == "-" {
			continue
		}
		name, flags, _ := strings.Cut(tag, ",")
		if strings.Contains(","+flags+",", ",inline,") {
			inner := pointedTo(field.Type)
			if inner.Kind() != reflect.Struct || reflect.PointerTo(inner).Implements(readerType) {
				return fmt.Errorf("no rule for the inline field %s of %s", field.Name, t)
			}
			if err := table(prefix, inner); err != nil {
				return err
			}
			continue
		}
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		if err := key(prefix+name, pointedTo(field.Type)); err != nil {
			return err
		}
	}
	return nil
}

// key prints one key; for a table in its place, the keys of that table.
func key(path string, t reflect.Type) error {
	kind, err := scalar(path, t)
	if err != nil {
		return err
	}
	if kind != "" {
		fmt.Printf("%s\t%s\n", path, kind)
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		if t.NumField() == 0 {
			fmt.Printf("%s\tempty table\n", path)
			return nil
		}
		return table(path+".", t)
	case reflect.Slice:
		return elements(path, path+"[].", "list of ", pointedTo(t.Elem()))
	case reflect.Map:
		return elements(path, path+"{}.", "table of ", pointedTo(t.Elem()))
	}
	return fmt.Errorf("no rule for %s, which is a %s", path, t)
}

// elements prints a list or a table whose values are all of one type.
func elements(path, prefix, kindPrefix string, t reflect.Type) error {
	kind, err := scalar(path, t)
	switch {
	case err != nil:
		return err
	case kind == "tree":
		fmt.Printf("%s\ttree\n", path)
	case kind != "":
		fmt.Printf("%s\t%s%s\n", path, kindPrefix, kind)
	case t.Kind() == reflect.Struct && t.NumField() > 0:
		return table(prefix, t)
	default:
		return fmt.Errorf("no rule for the elements of %s, each a %s", path, t)
	}
	return nil
}

// scalar is the kind of what has no keys that we list; empty for tables and lists.
func scalar(path string, t reflect.Type) (string, error) {
	pointer := reflect.PointerTo(t)
	switch {
	case pointer.Implements(messageType):
		return "tree", nil
	case pointer.Implements(readerType):
		if kind, ok := ownReaders[t.String()]; ok {
			return kind, nil
		}
		return "", fmt.Errorf("no rule for %s: a %s reads its own node", path, t)
	case t == durationType:
		return "duration", nil
	case pointer.Implements(textType):
		return "text", nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return "bool", nil
	case reflect.String:
		return "text", nil
	case reflect.Float32, reflect.Float64:
		return "number", nil
	case reflect.Int, reflect.Int64:
		return "integer", nil
	case reflect.Uint, reflect.Uint64:
		return "uint64", nil
	case reflect.Int32, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return t.Kind().String(), nil
	}
	return "", nil
}

func pointedTo(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
