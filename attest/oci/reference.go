// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

const (
	// maxHost is the longest name DNS has, plus a port.
	maxHost = 253 + len(":65535")
	// maxName bounds registry and repository together, as registries do.
	maxName = 255
	// maxReference bounds a reference before it is looked at: name, tag of at
	// most 128 characters, digest.
	maxReference = maxName + len(":") + 128 + len("@sha256:") + 64
)

// The grammar of the OCI distribution specification 1.1, "Pulling manifests",
// and of DNS names. All of it is ASCII.
var (
	labelPattern     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	componentPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
	tagPattern       = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// Reference names a manifest in a registry. It is canonical: two references to
// the same thing are equal, and String gives back exactly what was parsed. At
// least one of Tag and Digest is set; where both are, the tag is decoration.
type Reference struct {
	Registry   string // host or host:port
	Repository string
	Tag        string
	Digest     attest.Digest
}

// String returns registry/repository[:tag][@digest].
func (r Reference) String() string {
	s := r.Registry + "/" + r.Repository
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + string(r.Digest)
	}
	return s
}

// ParseReference reads a reference in its canonical form and nothing else. It
// invents nothing: the registry's host and a tag or digest must be there.
// Schemes, user names, upper-case hosts, other digest algorithms, default
// ports and other spellings are ErrBadReference.
func ParseReference(s string) (Reference, error) {
	ref, err := parseReference(s)
	if err == nil && ref.String() != s {
		err = fmt.Errorf("it is spelled %s", quote(ref.String()))
	}
	if err != nil {
		return Reference{}, fmt.Errorf("%w %s: %w", ErrBadReference, quote(s), err)
	}
	return ref, nil
}

func parseReference(s string) (Reference, error) {
	var ref Reference
	if len(s) > maxReference {
		return ref, fmt.Errorf("%d bytes, the limit is %d", len(s), maxReference)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return ref, fmt.Errorf("byte %d is not a visible ASCII character", i)
		}
	}
	if strings.Contains(s, "://") {
		return ref, fmt.Errorf("it is a URL (hint: leave the scheme out)")
	}
	rest, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		d, err := attest.ParseDigest(digest)
		if err != nil {
			return ref, err
		}
		ref.Digest = d
	}
	host, path, ok := strings.Cut(rest, "/")
	if !ok || !looksLikeHost(host) {
		return ref, fmt.Errorf("it does not name its registry (hint: registry.example/%s)", strings.TrimPrefix(quoteInside(s), "/"))
	}
	if err := checkHost(host); err != nil {
		return ref, err
	}
	ref.Registry = host
	path, tag, hasTag := strings.Cut(path, ":")
	if hasTag {
		if !tagPattern.MatchString(tag) {
			return ref, fmt.Errorf("%s is not a tag", quote(tag))
		}
		ref.Tag = tag
	}
	for component := range strings.SplitSeq(path, "/") {
		if !componentPattern.MatchString(component) {
			return ref, fmt.Errorf("%s is not a component of a repository name", quote(component))
		}
	}
	ref.Repository = path
	if len(host)+1+len(path) > maxName {
		return ref, fmt.Errorf("name of %d bytes, the limit is %d", len(host)+1+len(path), maxName)
	}
	if !hasTag && !hasDigest {
		return ref, fmt.Errorf("it has neither a digest nor a tag (hint: %s@sha256:…)", quoteInside(s))
	}
	return ref, checkDockerHub(ref)
}

// looksLikeHost tells a registry from the first component of a repository, as
// every client does: it has a dot or a port, or it is localhost.
func looksLikeHost(s string) bool {
	return strings.ContainsAny(s, ".:") || s == "localhost"
}

// checkHost accepts host or host:port in canonical form: DNS labels in lower
// case or a dotted IPv4 address, no trailing dot, no default port. IPv6
// addresses have too many spellings and are refused.
func checkHost(hostport string) error {
	if hostport == "" || len(hostport) > maxHost {
		return fmt.Errorf("host of %d bytes, not 1 to %d", len(hostport), maxHost)
	}
	host, port, hasPort := strings.Cut(hostport, ":")
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return fmt.Errorf("%s is not a port", quote(port))
		}
		if port == "443" {
			return fmt.Errorf("port 443 is the default (hint: leave it out)")
		}
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !labelPattern.MatchString(label) {
			return fmt.Errorf("%s is not a host name in lower case", quote(host))
		}
	}
	// A name that ends in a number is an IPv4 address to resolvers, in one of
	// several notations; only the usual one is accepted.
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		if addr, err := netip.ParseAddr(host); err != nil || addr.String() != host {
			return fmt.Errorf("%s is not an IPv4 address", quote(host))
		}
	}
	return nil
}

// checkDockerHub leaves one spelling of Docker Hub's names, docker.io/x/y, out
// of the several that clients accept.
func checkDockerHub(ref Reference) error {
	switch ref.Registry {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		return fmt.Errorf("the registry is spelled docker.io")
	case "docker.io":
		if !strings.Contains(ref.Repository, "/") {
			return fmt.Errorf("the repository is spelled docker.io/library/%s", ref.Repository)
		}
	}
	return nil
}

// quoteInside is quote for text inside a longer hint.
func quoteInside(s string) string {
	q := quote(s)
	return q[1 : len(q)-1]
}
