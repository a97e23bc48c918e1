"""The backend's side: requests become bytes on connections of which there are only so many, and bytes answers."""
