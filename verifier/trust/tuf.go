// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

// The files of a repository that a verifier needs.
const (
	targetTrustedRoot = "trusted_root.json"
	targetRevocations = "revocations.json"
)

const (
	// tufTimeout bounds one request to a repository. All its files are small.
	tufTimeout = 15 * time.Second
	// maxTUFRoot bounds the root that a verifier is given, bytes; go-tuf's own bound for those it fetches.
	maxTUFRoot = 512000
)

// TUF says where a trusted root is published with The Update Framework. URL and Root are compulsory.
type TUF struct {
	// URL of the repository, for example https://hallmark.corp.example/tuf.
	URL string
	// Root is one version of the repository's root.json, obtained beforehand and over a channel that is trusted. It need not be the newest.
	Root []byte
	// Cache is a folder of the caller's own, for what was verified last: with it an older repository is refused, and a repository that does not
	// answer is done without as long as what is here has not expired. Whoever can write there is trusted. Empty: nothing is kept.
	Cache string
	// Client asks the repository. Default: one with a timeout.
	Client *http.Client
}

// Published is what a repository said.
type Published struct {
	Root *Root
	// Revocations are nil if the repository has none: another service than Hallmark.
	Revocations *Revocations
	// Checked is when the repository vouched for this. It is in the past if it does not answer now.
	Checked time.Time
	// Unreachable is why it did not answer, if it did not.
	Unreachable error
}

// FromTUF asks a repository for the newest trusted root and revocations, and verifies them from the root that was given on. Metadata that has
// expired is an error, whoever serves it: there may be newer, which somebody keeps back.
func FromTUF(ctx context.Context, t TUF) (*Published, error) {
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("trusted root from TUF: %w", err)
	}
	p, err := t.fetch(ctx, false)
	if err == nil {
		return p, nil
	}
	err = fmt.Errorf("trusted root from %s: %w", t.URL, err)
	if t.Cache == "" || !isUnreachable(err) {
		return nil, err
	}
	p, cacheErr := t.fetch(ctx, true)
	if cacheErr != nil {
		return nil, fmt.Errorf("%w; and what was kept from before does not do: %w", err, cacheErr)
	}
	p.Unreachable = err
	return p, nil
}

func (t TUF) check() error {
	u, err := url.Parse(t.URL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return fmt.Errorf("%q is not the URL of a repository (hint: https://<service>/tuf)", t.URL)
	}
	if len(t.Root) == 0 || len(t.Root) > maxTUFRoot {
		return errors.New("no root.json, or one that is too large (hint: 1.root.json, obtained over a channel that you trust)")
	}
	return nil
}

// fetch takes the files from the repository, or from what was kept.
func (t TUF) fetch(ctx context.Context, local bool) (*Published, error) {
	cfg, err := config.New(t.URL, t.Root)
	if err != nil {
		return nil, err
	}
	cfg.Fetcher, cfg.UnsafeLocalMode, cfg.DisableLocalCache = fetcher{ctx, t.client()}, local, t.Cache == ""
	if t.Cache != "" {
		// Another root, or another repository, is another life.
		sum := sha256.Sum256(append([]byte(t.URL+"\n"), t.Root...))
		cfg.LocalMetadataDir = filepath.Join(t.Cache, hex.EncodeToString(sum[:8]))
		cfg.LocalTargetsDir = filepath.Join(cfg.LocalMetadataDir, "targets")
		if newer, err := os.ReadFile(filepath.Join(cfg.LocalMetadataDir, "root.json")); err == nil {
			cfg.LocalTrustedRoot = newer
		}
	}
	client, err := updater.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w (hint: is this the root.json of this repository?)", err)
	}
	if err := client.Refresh(); err != nil {
		return nil, err
	}
	p := &Published{Checked: time.Now()}
	if local {
		// The repository was asked when this was written.
		info, err := os.Stat(filepath.Join(cfg.LocalMetadataDir, checkedName))
		if err != nil {
			return nil, err
		}
		p.Checked = info.ModTime()
	}
	doc, err := get(client, targetTrustedRoot, local)
	if err != nil {
		return nil, err
	}
	if p.Root, err = Parse(doc); err != nil {
		return nil, err
	}
	if err := p.readRevocations(client, local); err != nil {
		return nil, err
	}
	if !local && t.Cache != "" {
		return p, os.WriteFile(filepath.Join(cfg.LocalMetadataDir, checkedName), nil, 0o600)
	}
	return p, nil
}

// checkedName is a file whose time is when the repository answered last.
const checkedName = "checked"

func (p *Published) readRevocations(client *updater.Updater, local bool) error {
	if _, listed := client.GetTopLevelTargets()[targetRevocations]; !listed {
		return nil
	}
	doc, err := get(client, targetRevocations, local)
	if err != nil {
		return err
	}
	list, err := ParseRevocations(doc)
	if err != nil {
		return err
	}
	p.Revocations = list.seenAt(p.Checked)
	return nil
}

func get(client *updater.Updater, name string, local bool) ([]byte, error) {
	info, err := client.GetTargetInfo(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	path, doc, err := client.FindCachedTarget(info, "")
	if err == nil && path != "" {
		return doc, nil
	}
	if local {
		return nil, fmt.Errorf("%s: is not kept here", name)
	}
	_, doc, err = client.DownloadTarget(info, "", "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return doc, nil
}

func (t TUF) client() *http.Client {
	if t.Client != nil {
		return t.Client
	}
	return &http.Client{Timeout: tufTimeout}
}

// unreachableError is a request that got no answer, or none that says anything.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }

func isUnreachable(err error) bool {
	var unreachable unreachableError
	return errors.As(err, &unreachable)
}

// fetcher asks a repository for files, each within its bound. Nothing of it is believed.
type fetcher struct {
	ctx    context.Context //nolint:containedctx // go-tuf's interface has none; a fetcher lives as long as one call of FromTUF
	client *http.Client
}

// DownloadFile implements go-tuf's Fetcher.
func (f fetcher) DownloadFile(path string, limit int64, _ time.Duration) ([]byte, error) {
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "hallmark")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, unreachableError{err}
	}
	defer resp.Body.Close() //nolint:errcheck // read to its bound
	if resp.StatusCode != http.StatusOK {
		err := error(&metadata.ErrDownloadHTTP{StatusCode: resp.StatusCode, URL: path})
		if resp.StatusCode >= http.StatusInternalServerError {
			err = unreachableError{err}
		}
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, unreachableError{err}
	}
	if int64(len(content)) > limit {
		return nil, &metadata.ErrDownloadLengthMismatch{Msg: fmt.Sprintf("%s is larger than %d bytes", path, limit)}
	}
	return content, nil
}
