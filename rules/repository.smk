"""The whole repository: this one, or a clone of the one that Snakemake fetched this file from, at the same commit.

Of a repository elsewhere Snakemake fetches only the files that it includes itself, not the library that they need.
"""

import json
import os
import tempfile
from pathlib import Path

from snakemake.sourcecache import HostingProviderFile, LocalGitFile, LocalSourceFile

CLONES = "WAYPOINT_CLONES"  # set for jobs, which read this file again when a branch may have moved: {source: clone}


def clone_of(source):
    """Return the folder of the whole repository that a file comes from, cloned once beside Snakemake's cached sources."""
    clones = json.loads(os.environ.get(CLONES, "{}"))
    if workflow.is_main_process or not os.path.isdir(clones.get(str(source), "")):
        try:
            from git import GitError, Repo
        except ImportError:
            raise not_cloned(source, "GitPython finds no git")
        try:
            if isinstance(source, LocalGitFile):
                repository = Repo(source.repo_path)
            else:
                repository = source.hosted_repo.repo  # Snakemake's own bare clone
            commit = repository.git.rev_parse("--verify", f"{source.ref}^{{commit}}")
            folder = Path(workflow.sourcecache.cache_path).absolute() / "waypoint" / commit
            if not folder.is_dir():
                clone(repository, commit, folder)
        except (GitError, OSError) as error:
            raise not_cloned(source, error)
        clones[str(source)] = str(folder)
        os.environ[CLONES] = json.dumps(clones)
    return Path(clones[str(source)])


def clone(repository, commit, folder):
    """Clone a commit of a repository on this machine; the folder appears when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        part = Path(unfinished, "waypoint")
        repository.clone(part, no_checkout=True).git.checkout("--detach", commit)
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another run was faster
                raise


def not_cloned(source, error):
    """Return the error that says what to do where the repository of a file cannot be cloned."""
    reason = (str(error).strip("' \n") or type(error).__name__).splitlines()[-1].strip()
    if getattr(source, "auth", ""):
        reason = reason.replace(source.auth, "")  # a token
    return WorkflowError(
        f"Waypoint needs its whole repository, and that of {source} could not be cloned ({reason}): run again with git and "
        "the network, or clone it yourself and name the path of its Snakefile in `module …: snakefile:`"
    )


HERE = workflow.included_stack[-1]
if isinstance(HERE, LocalSourceFile):
    REPOSITORY = Path(workflow.current_basedir).parent
elif isinstance(HERE, (HostingProviderFile, LocalGitFile)):
    REPOSITORY = clone_of(HERE)
else:
    raise WorkflowError(
        f"Waypoint needs its whole repository, and {HERE} is the address of a single file: name the repository, as in "
        'github("OWNER/NAME", path="workflow/Snakefile", tag="TAG"), or the path of a clone\'s Snakefile'
    )
RULES = REPOSITORY / "rules"
