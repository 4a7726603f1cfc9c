// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3" // linked by cel-go already; its node tree keeps line numbers
)

// maxDocument bounds a policy document. The largest sensible one (hundreds of rules) is a tenth of it, and it keeps the parser's
// work on a hostile one in the milliseconds.
const maxDocument = 256 << 10

// document is where the fields of a parsed document stand, so that an error found later can still name its line.
type document struct {
	lines map[string]int // path such as "rules[0].conditions[1].name" -> line, counted from 1
	kind  string         // as it says itself, whatever else is wrong with it
}

// fieldError is a complaint about one field. Policies made by Go code have no lines; those read from a file get one in locate.
type fieldError struct {
	path    string // as in document.lines
	message string
}

func (e *fieldError) Error() string {
	if e.path == "" {
		return e.message
	}
	return e.path + ": " + e.message
}

func fieldErrorf(path, format string, args ...any) error {
	return &fieldError{path: path, message: fmt.Sprintf(format, args...)}
}

// locate adds the line to a field error. A field that is missing is reported at the line of what should contain it.
func (d *document) locate(err error) error {
	var field *fieldError
	if !errors.As(err, &field) {
		return err
	}
	for path := field.path; ; path = parentPath(path) {
		if line, ok := d.lines[path]; ok {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if path == "" {
			return err
		}
	}
}

// parentPath cuts the last step off a path: "rules[0].name" -> "rules[0]" -> "rules" -> "".
func parentPath(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// decodeStrict reads one YAML (or JSON) document into the struct that out points to, whose json tags are the keys.
//
// It is stricter than decoding into a struct with the yaml package: every key must be known and written exactly so, no key may stand
// twice, a value must have its field's type as written (a number is not a string), and anchors, aliases, tags, merge keys, empty
// values and a second document are refused. What a reader of the file sees is what is enforced.
func decodeStrict(b []byte, out any) (*document, error) {
	if len(b) > maxDocument {
		return nil, fmt.Errorf("document of %d bytes is larger than %d", len(b), maxDocument)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("document is not UTF-8")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	var root yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil, errors.New("document is empty")
	} else if err != nil {
		return nil, err // the yaml package names the line itself
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the first document; one file is one policy")
	}
	doc := &document{lines: make(map[string]int), kind: saidKind(root.Content[0])}
	if err := doc.decode(root.Content[0], reflect.ValueOf(out).Elem(), ""); err != nil {
		return doc, doc.locate(err)
	}
	return doc, nil
}

// saidKind is the kind that a document of ours says it is, or "".
func saidKind(root *yaml.Node) string {
	said := map[string]string{}
	for i := 0; root.Kind == yaml.MappingNode && i+1 < len(root.Content); i += 2 {
		said[root.Content[i].Value] = root.Content[i+1].Value
	}
	if said["apiVersion"] != APIVersion {
		return ""
	}
	return said["kind"]
}

// decode fills value from node. It knows the few kinds of field that policies are made of; another kind is a programming error.
func (d *document) decode(node *yaml.Node, value reflect.Value, path string) error {
	if _, ok := d.lines[path]; !ok { // a member has its key's line
		d.lines[path] = node.Line
	}
	if err := plainNode(node, path); err != nil {
		return err
	}
	switch value.Kind() {
	case reflect.Struct:
		return d.decodeStruct(node, value, path)
	case reflect.Pointer: // what may be left out as a whole
		value.Set(reflect.New(value.Type().Elem()))
		return d.decode(node, value.Elem(), path)
	case reflect.Slice:
		return d.decodeList(node, value, path)
	case reflect.String:
		// An unquoted time is written and meant as text.
		if node.Kind != yaml.ScalarNode || (node.Tag != "!!str" && node.Tag != "!!timestamp") {
			return fieldErrorf(path, "must be a string (hint: put it in quotes)")
		}
		value.SetString(node.Value)
	case reflect.Bool:
		if node.Kind != yaml.ScalarNode || node.Tag != "!!bool" {
			return fieldErrorf(path, "must be true or false")
		}
		return node.Decode(value.Addr().Interface())
	case reflect.Interface:
		return d.skip(node, path)
	default:
		return fmt.Errorf("decode %s: fields of kind %s are not supported", path, value.Kind())
	}
	return nil
}

// decodeStruct fills a struct from a mapping.
func (d *document) decodeStruct(node *yaml.Node, value reflect.Value, path string) error {
	fields := make(map[string]reflect.Value, value.NumField())
	for i := range value.NumField() {
		if name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ","); name != "" { // without a tag: not of the document
			fields[name] = value.Field(i)
		}
	}
	return d.members(node, path, func(key string, member *yaml.Node) error {
		field, ok := fields[key]
		if !ok {
			known := make([]string, 0, len(fields))
			for name := range fields {
				known = append(known, name)
			}
			slices.Sort(known)
			return fieldErrorf(memberPath(path, key), "unknown key (known here: %s)", strings.Join(known, ", "))
		}
		return d.decode(member, field, memberPath(path, key))
	})
}

// decodeList fills a slice from a sequence.
func (d *document) decodeList(node *yaml.Node, value reflect.Value, path string) error {
	if node.Kind != yaml.SequenceNode {
		return fieldErrorf(path, "must be a list")
	}
	value.Set(reflect.MakeSlice(value.Type(), len(node.Content), len(node.Content)))
	for i, item := range node.Content {
		if err := d.decode(item, value.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

// skip accepts any plain value: what an API server writes into an object and no policy reads.
func (d *document) skip(node *yaml.Node, path string) error {
	if node.Kind == yaml.MappingNode {
		return d.members(node, path, func(key string, member *yaml.Node) error { return d.skip(member, memberPath(path, key)) })
	}
	for i, item := range node.Content {
		if err := d.skip(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

// members calls visit for every member of a mapping, after checking that the key is a plain string that did not stand there before.
func (d *document) members(node *yaml.Node, path string, visit func(key string, member *yaml.Node) error) error {
	if node.Kind != yaml.MappingNode {
		return fieldErrorf(path, "must be a mapping of keys to values")
	}
	seen := make(map[string]int, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, member := node.Content[i], node.Content[i+1]
		d.lines[memberPath(path, key.Value)] = key.Line
		if key.Kind != yaml.ScalarNode || key.Tag != "!!str" || plainNode(key, path) != nil {
			return fieldErrorf(memberPath(path, key.Value), "keys must be plain strings")
		}
		if first, ok := seen[key.Value]; ok {
			return fieldErrorf(memberPath(path, key.Value), "duplicate key, it stands in line %d already", first)
		}
		seen[key.Value] = key.Line
		if err := visit(key.Value, member); err != nil {
			return err
		}
	}
	return nil
}

// plainNode refuses what makes YAML say something else than it shows.
func plainNode(node *yaml.Node, path string) error {
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		return fieldErrorf(path, "anchors and aliases are not accepted (hint: write the value out)")
	case node.Style&yaml.TaggedStyle != 0:
		return fieldErrorf(path, "tags are not accepted")
	}
	return nil
}
