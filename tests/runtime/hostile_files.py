"""Makers of hostile files: each returns a function from a folder to the path it made there."""


def written(name, content):
    def make(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def linked(name, target):
    def make(folder):
        (folder / name).symlink_to(target)
        return folder / name

    return make
