package settings

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Errors of Resolve. The message names the place of the value.
var (
	// ErrFile: the file cannot be read, or is no YAML mapping of settings.
	ErrFile = errors.New("settings: bad file")
	// ErrUnknown: a key of the file is no setting of this program.
	ErrUnknown = errors.New("settings: unknown key")
	// ErrValue: a value is not of the setting's unit.
	ErrValue = errors.New("settings: bad value")
)

// maxFile bounds the file: a longer one is something else.
const maxFile = 1 << 20

// Resolve sets what the flags have not set: by the environment, then by the file.
func (t *Table) Resolve() error {
	set := map[string]bool{}
	t.flags.VisitAll(func(f *pflag.Flag) { set[f.Name] = f.Changed })
	for _, s := range t.all {
		if text, ok := t.environ(s.Variable()); ok && text != "" && !set[s.Name] {
			if err := t.set(s, text); err != nil {
				return fmt.Errorf("%w: environment %s=%.80q: want %s", ErrValue, s.Variable(), text, s.Unit)
			}
			set[s.Name] = true
		}
	}
	if t.file == "" {
		return nil
	}
	values, err := t.read()
	if err != nil {
		return err
	}
	for _, v := range values {
		if set[v.setting.Name] {
			continue
		}
		if err := t.set(v.setting, v.text); err != nil {
			return fmt.Errorf("%w: %s:%d: %s: %.80q: want %s", ErrValue, t.file, v.line, v.setting.Name, v.text, v.setting.Unit)
		}
	}
	return nil
}

func (t *Table) set(s *Setting, text string) error { return t.flags.Lookup(s.Name).Value.Set(text) }

// A value is the file's value of a setting.
type value struct {
	setting *Setting
	text    string
	line    int
}

// read reads the file. Even what a flag overrides must be right in it.
func (t *Table) read() (values []value, err error) {
	info, err := os.Stat(t.file)
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s has %d bytes, a file of settings at most %d", t.file, info.Size(), maxFile)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(t.file)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFile, t.file, err)
	}
	if len(document.Content) == 0 { // only comments
		return nil, nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%w: %s:%d: want lines of the form \"setting: value\"", ErrFile, t.file, root.Line)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		s := t.named(key.Value)
		if s == nil {
			return nil, t.unknown(key)
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("%w: %s:%d: %s is there twice", ErrFile, t.file, key.Line, s.Name)
		}
		seen[s.Name] = true
		text, ok := scalar(node)
		if !ok {
			return nil, fmt.Errorf("%w: %s:%d: %s: want %s", ErrValue, t.file, node.Line, s.Name, s.Unit)
		}
		values = append(values, value{s, text, node.Line})
	}
	return values, nil
}

func (t *Table) named(name string) *Setting {
	for _, s := range t.all {
		if s.Name == name {
			return s
		}
	}
	return nil
}

func (t *Table) unknown(key *yaml.Node) error {
	hint := ""
	if s := t.named(strings.ToLower(strings.ReplaceAll(key.Value, "_", "-"))); s != nil {
		hint = ": it is written " + s.Name
	}
	return fmt.Errorf("%w: %s:%d: %s has no setting %.80q%s; %[4]s --help lists them", ErrUnknown, t.file, key.Line, t.program, key.Value, hint)
}

// scalar returns a value, or a list of values, as a flag would be given it.
func scalar(n *yaml.Node) (text string, ok bool) {
	if n.Kind == yaml.ScalarNode {
		return n.Value, n.Tag != "!!null"
	}
	if n.Kind != yaml.SequenceNode {
		return "", false
	}
	var parts []string
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || strings.ContainsAny(item.Value, ",\"\n") {
			return "", false
		}
		parts = append(parts, item.Value)
	}
	return strings.Join(parts, ","), true
}
