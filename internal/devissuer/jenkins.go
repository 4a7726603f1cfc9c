// SPDX-License-Identifier: Apache-2.0

package devissuer

import (
	"fmt"
	"time"
)

const jenkinsLife = time.Hour

// jenkinsSource is also an example of how a CI without a provider of its own is
// described.
const jenkinsSource = `provider: generic, issuer: "ISSUER", url: "https://jenkins.acme.example", generic: {` +
	`claims: {build_number: number}, run: "{build_url}", san: "{sub}", sanPrefix: "https://jenkins.acme.example/job/acme/", ` +
	`extensions: {buildConfigURI: "{sub}", runInvocationURI: "{build_url}", sourceRepositoryURI: "{git_url?}", ` +
	`sourceRepositoryDigest: "{git_commit?}", sourceRepositoryRef: "refs/heads/{git_branch?}"}}`

// jenkinsClaims are those of the plugin oidc-provider with its defaults and four
// templates of an administrator: build_url, git_url, git_commit and git_branch.
// It writes neither jti nor nbf.
func jenkinsClaims(issuer, audience string, now time.Time, overrides map[string]string) (map[string]any, error) {
	c := newClaimSet(overrides)
	c.text("iss", issuer)
	c.list("aud", audience)
	c.number("iat", now.Unix())
	c.number("exp", now.Add(jenkinsLife).Unix())
	branch := c.text("git_branch", "main")
	job := c.text("sub", "https://jenkins.acme.example/job/acme/job/app/job/"+branch+"/")
	c.number("build_number", 42)
	c.text("build_url", fmt.Sprintf("%s%v/", job, c.claims["build_number"]))
	c.text("git_url", "https://git.acme.example/acme/app")
	c.text("git_commit", commitOf("acme/app", branch))
	return c.rest()
}
