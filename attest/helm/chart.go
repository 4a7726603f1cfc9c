// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"regexp"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/yaml"

	"github.com/hallmark-dev/hallmark/attest"
)

// maxMetadata bounds Chart.yaml: it is repeated in the provenance, in the
// registry's config and in annotations.
const maxMetadata = 64 << 10

// namePattern is what a chart's name may be: a file name, and the last component
// of a repository in a registry.
var namePattern = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)

// Chart is a chart that was read. It is not changed by anything here.
type Chart struct {
	Name, Version string
	// Archive is what it was read from, and Digest its SHA-256.
	Archive []byte
	Digest  attest.Digest
	// Newest is the time of the newest file: when it was packaged.
	Newest time.Time
	// Loaded is Helm's own view, for rendering.
	Loaded *chart.Chart
}

// quiet keeps Helm's loader from writing warnings to the log of whoever uses
// it: it knows the standard logger only.
var quiet sync.Mutex

// Read reads a packaged chart. Errors are ErrChart.
func Read(archive []byte) (*Chart, error) {
	found, err := inspect(archive)
	if err != nil {
		return nil, err
	}
	loaded, err := load(archive)
	if err != nil {
		return nil, refuse("%w", err)
	}
	m := loaded.Metadata
	switch {
	case !namePattern.MatchString(m.Name):
		return nil, refuse("its name %q cannot be that of a repository (hint: lower-case letters, digits, single dots, dashes and underscores)", clip(m.Name))
	case found.folder != m.Name:
		return nil, refuse("Chart.yaml says that it is %q, the archive's folder is %q", m.Name, clip(found.folder))
	}
	if err := checkDependencies(loaded); err != nil {
		return nil, err
	}
	c := &Chart{
		Name: m.Name, Version: m.Version, Archive: archive, Digest: attest.DigestOf(archive), Newest: found.newest.Truncate(time.Second), Loaded: loaded,
	}
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	if len(config) > maxMetadata {
		return nil, refuse("Chart.yaml has %d bytes, the limit is %d", len(config), maxMetadata)
	}
	return c, nil
}

func load(archive []byte) (_ *chart.Chart, err error) {
	defer func() {
		if r := recover(); r != nil { // a parser's, none of which is ours
			err = fmt.Errorf("it cannot be read: %v", r)
		}
	}()
	quiet.Lock()
	defer quiet.Unlock()
	before := log.Writer()
	log.SetOutput(io.Discard)
	defer log.SetOutput(before)
	return loader.LoadArchive(bytes.NewReader(archive))
}

// checkDependencies wants every chart that this one says it depends on: without
// them it would be rendered, and signed, incomplete.
func checkDependencies(c *chart.Chart) error {
	var missing []string
	for _, want := range c.Metadata.Dependencies {
		found := false
		for _, have := range c.Dependencies() {
			found = found || have.Name() == want.Name
		}
		if !found {
			missing = append(missing, want.Name)
		}
	}
	if len(missing) > 0 {
		return refuse("it depends on %s, which charts/ does not have (hint: helm dependency build, then helm package)", strings.Join(missing, ", "))
	}
	for _, d := range c.Dependencies() {
		if err := checkDependencies(d); err != nil {
			return fmt.Errorf("in charts/%s: %w", d.Name(), err)
		}
	}
	return nil
}

// FileName is what `helm package` calls the archive.
func (c *Chart) FileName() string { return FileName(c.Name, c.Version) }

// FileName is what `helm package` calls the archive of a chart.
func FileName(name, version string) string { return name + "-" + version + ".tgz" }

// CheckFileName wants the file to be called as Helm calls it: `helm verify`
// looks a file up by its name.
func (c *Chart) CheckFileName(name string) error {
	if name != c.FileName() {
		return refuse("the file is called %q, and Chart.yaml says %s (hint: helm package names it)", clip(name), c.FileName())
	}
	return nil
}

// Config is the config of the chart in a registry: Chart.yaml as JSON.
func (c *Chart) Config() ([]byte, error) {
	config, err := json.Marshal(c.Loaded.Metadata)
	if err != nil {
		return nil, refuse("Chart.yaml: %w", err)
	}
	return config, nil
}

// Message is the first part of what a provenance file signs: Chart.yaml.
func (c *Chart) Message() (string, error) {
	text, err := yaml.Marshal(c.Loaded.Metadata)
	if err != nil {
		return "", refuse("Chart.yaml: %w", err)
	}
	return string(text), nil
}
