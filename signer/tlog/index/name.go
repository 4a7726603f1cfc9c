// SPDX-License-Identifier: Apache-2.0

package index

import "strings"

// Identity returns the key of who signed: an e-mail address, a URI, any subject
// alternative name. Rekor v1's "email" and "subject" are looked up here. Case
// does not count.
func Identity(s string) string { return join(KindIdentity, lower(s)) }

// Issuer returns the key of an OpenID Connect issuer's URL. Scheme, case and a
// slash at the end do not count.
func Issuer(url string) string { return join(KindIssuer, location(url)) }

// Repository returns the key of a source repository: its URI, or what people
// copy from a browser or from git: "https://github.com/acme/app",
// "git@github.com:acme/app.git", "github.com/acme/app".
func Repository(uri string) string {
	s := trimAll(location(gitURL(uri)), "/", ".git")
	if user, rest, ok := strings.Cut(s, "@"); ok && !strings.Contains(user, "/") {
		s = rest // of ssh://git@host
	}
	return join(KindRepository, s)
}

// Commit returns the key of a commit id, hexadecimal and of full length.
func Commit(hex string) string { return join(KindCommit, lower(hex)) }

// Workflow returns the key of a workflow's definition:
// "github.com/acme/app/.github/workflows/release.yml@refs/heads/main". With the
// part from the @ on it is another key than without; a certificate is indexed
// under both.
func Workflow(uri string) string { return join(KindWorkflow, location(uri)) }

// location reduces a URL to host, port and path in lower case.
func location(url string) string {
	s := lower(url)
	for {
		scheme, rest, ok := strings.Cut(s, "://")
		if !ok || strings.ContainsAny(scheme, "/:@") {
			break
		}
		s = strings.TrimSpace(rest)
	}
	return trimAll(s, "/")
}

// gitURL turns the scp form of git, user@host:path, into host/path.
func gitURL(s string) string {
	if strings.Contains(s, "://") {
		return s
	}
	userHost, path, ok := strings.Cut(s, ":")
	_, host, isSCP := strings.Cut(userHost, "@")
	if !ok || !isSCP || strings.Contains(userHost, "/") {
		return s
	}
	return host + "/" + path
}

// trimAll takes suffixes and white space off the end until none is left.
func trimAll(s string, suffixes ...string) string {
	for {
		t := strings.TrimSpace(s)
		for _, suffix := range suffixes {
			t = strings.TrimSuffix(t, suffix)
		}
		if t == s {
			return s
		}
		s = t
	}
}

// dockerHub is what images without a registry's name, and those under the
// registry's other names, are indexed under.
const dockerHub = "docker.io"

// Image returns the key of an image name: registry/repository in lower case,
// without scheme, tag and digest. A name without a registry is Docker Hub's,
// as everywhere.
func Image(name string) string {
	s := location(name)
	s, _, _ = strings.Cut(s, "@")
	if colon := strings.LastIndexByte(s, ':'); colon > strings.LastIndexByte(s, '/') {
		s = s[:colon]
	}
	s = trimAll(s, "/")
	host, path, ok := strings.Cut(s, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, path = dockerHub, s
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = dockerHub
	}
	if host == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return join(KindImage, host+"/"+path)
}
